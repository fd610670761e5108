"""What the gateway serves now: the hash that it says, and the config that it logged under that hash."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from t0dspy.artifact.manifest import Manifest
from t0dspy.errors import GatewayError, WarehouseError
from t0dspy.gateway import HttpGateway

_CLOSE = 1e-6
"""Shares that differ by less are the same: the gateway keeps them as floats."""
_PATIENCE = 10
"""Seconds to wait for ClickHouse: it is asked for one short row."""


@dataclass(frozen=True)
class Served:
    """What is known about the config that a gateway serves."""

    config_hash: str | None
    """As `/status` spells it; None when the gateway did not answer."""
    config: Mapping[str, Any] | None = field(default=None, repr=False)
    """The whole config as the gateway resolved it; None when that is not known."""
    why: str = ""
    """Why something is not known."""

    def shares(self, manifest: Manifest) -> dict[str, float] | None:
        """Version -> share of the calls, of a program; empty when it is not served at all, None when not known."""
        if self.config is None:
            return None
        if manifest.name in manifest.functions:
            return self._candidates(manifest.name)
        for version, entry in reversed(list(manifest.versions.items())):
            stages = [self._candidates(one.function) for one in entry.predictors.values()]
            if all(list(one) == [version] for one in stages):
                return {version: 1.0}
        return {}

    def loaded(self, manifest: Manifest, version: str) -> bool | None:
        """Whether the gateway knows a version at all, with traffic or without; None when that is not known."""
        if self.config is None:
            return None
        name = manifest.name
        if name not in manifest.functions:
            name = next(one.function for one in manifest.versions[version].predictors.values())
        return version in self.config.get("functions", {}).get(name, {}).get("variants", {})

    def serves(self, manifest: Manifest, shares: Mapping[str, float]) -> bool | None:
        """Whether a program's traffic is as written; None when that is not known."""
        served = self.shares(manifest)
        return None if served is None else same_shares(served, shares)

    def _candidates(self, function: str) -> dict[str, float]:
        entry = (self.config or {}).get("functions", {}).get(function, {})
        found = entry.get("experimentation", {}).get("candidate_variants", {})
        weights = dict.fromkeys(found, 1.0) if isinstance(found, list) else dict(found)
        total = sum(weights.values())
        return {version: weight / total for version, weight in weights.items() if weight > 0} if total else {}


def same_shares(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether two sets of weights mean the same traffic."""
    totals = sum(one.values()) or 1.0, sum(other.values()) or 1.0
    return one.keys() == other.keys() and all(
        abs(one[version] / totals[0] - other[version] / totals[1]) < _CLOSE for version in one
    )


def look(gateway_url: str, clickhouse_url: str) -> Served:
    """Ask the gateway at `gateway_url`, and the ClickHouse that it logs to; says what could not be known."""
    try:
        config_hash = _config_hash(gateway_url)
    except GatewayError as error:
        return Served(None, why=str(error))
    from t0dspy.warehouse.client import Warehouse

    try:
        with Warehouse(clickhouse_url, patience=_PATIENCE, connect=_PATIENCE) as warehouse:
            text = warehouse.config(config_hash)
    except WarehouseError as error:
        return Served(config_hash, why=str(error))
    if text is None:
        return Served(config_hash, why="the gateway did not log the config that it serves to this ClickHouse.")
    return Served(config_hash, tomllib.loads(text))


def _config_hash(url: str) -> str:
    gateway = HttpGateway(url)
    try:
        return gateway.config_hash()
    finally:
        gateway.close()
