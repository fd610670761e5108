"""Read recent ratings of a program's versions, and how often their answers could not be parsed, from ClickHouse."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from t0dspy.artifact.manifest import Manifest
from t0dspy.errors import WarehouseError

WINDOW = timedelta(days=30)
"""How far back ratings are read."""
_PATIENCE = 3
"""Seconds to wait for ClickHouse, because the ratings are only a part of the traffic display."""
_NOT_PRODUCTION = (
    "tensorzero::evaluation_run_id",
    "tensorzero::workflow_evaluation_run_id",
    "tensorzero::dynamic_evaluation_run_id",
    "tensorzero::internal",
    "tensorzero::variant_pinned",
    "t0dspy::test",
)
"""Tags of inferences that are not production."""


@dataclass(frozen=True)
class LiveScore:
    """People's ratings of a version by one metric."""

    mean: float
    count: int
    """The number of rated inferences."""


@dataclass(frozen=True)
class JsonFallbacks:
    """How often DSPy could not parse an answer of a version, and asked again for JSON."""

    calls: int
    """The number of first calls of its predictors."""
    repeated: int


def read_live_scores(
    clickhouse_url: str, manifest: Manifest, now: datetime
) -> Mapping[str, Mapping[str, LiveScore]] | None:
    """Return the ratings of the last `WINDOW` by version and metric; None if ClickHouse does not answer in time.

    A program without a function of its own has no inferences, so it has no ratings.
    """
    function = manifest.functions.get(manifest.name)
    if function is None:
        return {}
    from t0dspy.warehouse.client import Warehouse

    parameters = {
        "table": "JsonInference" if function.type == "json" else "ChatInference",
        "function": manifest.name,
        "since": _since(now),
        "not_production": list(_NOT_PRODUCTION),
    }
    try:
        with Warehouse(clickhouse_url, patience=_PATIENCE, connect=_PATIENCE) as warehouse:
            rows = warehouse.ask("live_scores", parameters)
    except WarehouseError:
        return None
    scores: dict[str, dict[str, LiveScore]] = {}
    for version, metric, mean, count in rows:
        scores.setdefault(str(version), {})[str(metric)] = LiveScore(float(mean), int(count))
    return scores


def read_fallbacks(clickhouse_url: str, manifest: Manifest, now: datetime) -> Mapping[str, JsonFallbacks] | None:
    """Return the JSON fallbacks of the last `WINDOW` by version; None if ClickHouse does not answer in time."""
    predictors = [predictor for entry in manifest.versions.values() for predictor in entry.predictors.values()]
    functions = sorted({predictor.function for predictor in predictors if len(predictor.texts) > 1})
    if not functions:
        return {}
    from t0dspy.warehouse.client import Warehouse

    parameters = {
        "functions": functions,
        "since": _since(now),
        "not_production": [tag for tag in _NOT_PRODUCTION if tag != "tensorzero::variant_pinned"],
    }
    try:
        with Warehouse(clickhouse_url, patience=_PATIENCE, connect=_PATIENCE) as warehouse:
            rows = warehouse.ask("json_fallbacks", parameters)
    except WarehouseError:
        return None
    return {str(version): JsonFallbacks(int(calls), int(repeated)) for version, calls, repeated in rows}


def _since(now: datetime) -> int:
    """Return the smallest id of the window; ids are UUIDv7, with milliseconds in their upper 48 bits."""
    return int((now - WINDOW).timestamp() * 1000) << 80
