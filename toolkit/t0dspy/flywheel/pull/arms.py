"""Which version an episode was meant for: a row that another one answered was a fallback."""

import hashlib
import tomllib
import uuid
from collections.abc import Mapping

from t0dspy.warehouse.production import Production, Row

Shares = Mapping[str, float]


class Arms:
    """Tells fallbacks by the shares in the config that the gateway had at the time."""

    def __init__(self, production: Production) -> None:
        self._production, self._function = production, production.scope.function
        self._shares: dict[str, Shares] = {}

    def is_fallback(self, row: Row) -> bool:
        """Whether another version should have answered; False where that cannot be told, as in a namespace."""
        if row.snapshot is None or row.tags.keys() & {"tensorzero::namespace", "tensorzero::variant_pinned"}:
            return False
        shares = self._at(row.snapshot)
        return bool(shares) and arm(self._function, row.episode, shares) != row.variant

    def _at(self, snapshot: str) -> Shares:
        if snapshot not in self._shares:
            config = self._production.configs([snapshot]).get(snapshot, "")
            self._shares[snapshot] = shares_in(config, self._function)
        return self._shares[snapshot]


def shares_in(config: str, function: str) -> Shares:
    """The shares of a function's variants in the TOML of a gateway's config; empty where it has no fixed ones."""
    try:
        found = tomllib.loads(config).get("functions", {}).get(function, {}).get("experimentation", {})
    except tomllib.TOMLDecodeError:
        return {}
    candidates = found.get("candidate_variants", {}) if found.get("type") == "static" else {}
    return dict.fromkeys(candidates, 1.0) if isinstance(candidates, list) else candidates


# Workaround (tensorzero 2026.6): a logged inference does not record which variant was drawn first, so the draw is
# computed again; remove when a row of a fallback says so.
def arm(function: str, episode: str, shares: Shares) -> str:
    """The variant that TensorZero draws for `episode` (its experimentation/mod.rs, as of 2026.6).

    Args:
        function: the function's name.
        episode: a UUID.
        shares: variant -> share, of any sum above 0.
    """
    drawn = hashlib.sha256(function.encode() + uuid.UUID(episode).bytes).digest()[:4]
    point, total = int.from_bytes(drawn, "big") / 2**32, sum(shares.values())
    reached = 0.0
    for variant in sorted(shares):
        reached += shares[variant] / total
        if point < reached:
            return variant
    return max(shares)
