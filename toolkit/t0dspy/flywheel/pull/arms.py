"""Determine which version an episode was assigned to; a row that another version answered was a fallback."""

import hashlib
import tomllib
import uuid
from collections.abc import Mapping

from t0dspy.artifact.variants import version_of
from t0dspy.warehouse.production import Production, Row

Shares = Mapping[str, float]


class Arms:
    """Detects fallbacks from the shares in the config that the gateway had at the time."""

    def __init__(self, production: Production) -> None:
        self._production, self._function = production, production.scope.function
        self._shares: dict[str, Shares] = {}

    def is_fallback(self, row: Row) -> bool:
        """Return whether another version should have answered; False if that is unknown, as in a namespace."""
        if row.snapshot is None or row.tags.keys() & {"tensorzero::namespace", "tensorzero::variant_pinned"}:
            return False
        shares = self._shares_in(row.snapshot)
        return bool(shares) and arm(self._function, row.episode, shares) != version_of(row.variant)

    def _shares_in(self, snapshot: str) -> Shares:
        if snapshot not in self._shares:
            config = self._production.configs([snapshot]).get(snapshot, "")
            self._shares[snapshot] = shares_in(config, self._function)
        return self._shares[snapshot]


def shares_in(config: str, function: str) -> Shares:
    """Return the shares of a function's variants in the TOML of a gateway's config; empty if they are not fixed."""
    try:
        experimentation = tomllib.loads(config).get("functions", {}).get(function, {}).get("experimentation", {})
    except tomllib.TOMLDecodeError:
        return {}
    candidates = experimentation.get("candidate_variants", {}) if experimentation.get("type") == "static" else {}
    return dict.fromkeys(candidates, 1.0) if isinstance(candidates, list) else candidates


# Workaround (tensorzero 2026.6): a logged inference does not record which variant was drawn first, so the draw is
# computed again; remove when a row of a fallback says so.
def arm(function: str, episode: str, shares: Shares) -> str:
    """Return the variant that TensorZero draws for `episode` (experimentation/mod.rs of TensorZero 2026.6).

    Args:
        function: the function's name.
        episode: a UUID.
        shares: variant -> share, with a sum above 0.
    """
    drawn = hashlib.sha256(function.encode() + uuid.UUID(episode).bytes).digest()[:4]
    point, total = int.from_bytes(drawn, "big") / 2**32, sum(shares.values())
    reached = 0.0
    for variant in sorted(shares):
        reached += shares[variant] / total
        if point < reached:
            return variant
    return max(shares)
