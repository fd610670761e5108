"""Read what the gateway serves: its config hash, and the config that it logged under that hash."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from t0dspy.artifact.manifest import Manifest
from t0dspy.errors import GatewayError, WarehouseError
from t0dspy.gateway import HttpGateway

_CLOSE = 1e-6
"""Shares that differ by less are equal, because the gateway stores them as floats."""
_PATIENCE = 10
"""Seconds to wait for ClickHouse, which only has to return one short row."""


@dataclass(frozen=True)
class Served:
    """The config that a gateway serves, as far as it is known."""

    config_hash: str | None
    """The hash from `/status`; None if the gateway did not answer."""
    config: Mapping[str, Any] | None = field(default=None, repr=False)
    """The whole config as the gateway resolved it; None if it is not known."""
    why: str = ""
    """Why something is not known."""

    def shares(self, manifest: Manifest) -> dict[str, float] | None:
        """Return the served share of each version; empty if the program is not served, None if it is not known."""
        if self.config is None:
            return None
        if manifest.name in manifest.functions:
            return self._candidates(manifest.name)
        for version, entry in reversed(list(manifest.versions.items())):
            stages = [self._candidates(predictor.function) for predictor in entry.predictors.values()]
            if all(list(candidates) == [version] for candidates in stages):
                return {version: 1.0}
        return {}

    def loaded(self, manifest: Manifest, version: str) -> bool | None:
        """Return whether the served config has a version, with or without traffic; None if it is not known."""
        if self.config is None:
            return None
        name = manifest.name
        if name not in manifest.functions:
            name = next(predictor.function for predictor in manifest.versions[version].predictors.values())
        return version in self.config.get("functions", {}).get(name, {}).get("variants", {})

    def serves(self, manifest: Manifest, shares: Mapping[str, float]) -> bool | None:
        """Return whether the gateway serves `shares` of a program; None if it is not known."""
        served = self.shares(manifest)
        return None if served is None else same_shares(served, shares)

    def _candidates(self, function: str) -> dict[str, float]:
        entry = (self.config or {}).get("functions", {}).get(function, {})
        candidates = entry.get("experimentation", {}).get("candidate_variants", {})
        weights = dict.fromkeys(candidates, 1.0) if isinstance(candidates, list) else dict(candidates)
        total = sum(weights.values())
        return {version: weight / total for version, weight in weights.items() if weight > 0} if total else {}


def same_shares(first: Mapping[str, float], second: Mapping[str, float]) -> bool:
    """Return whether two sets of weights give the same shares."""
    totals = sum(first.values()) or 1.0, sum(second.values()) or 1.0
    return first.keys() == second.keys() and all(
        abs(first[version] / totals[0] - second[version] / totals[1]) < _CLOSE for version in first
    )


def read_served(gateway_url: str, clickhouse_url: str) -> Served:
    """Read the served config from the gateway and from the ClickHouse that it logs to."""
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
