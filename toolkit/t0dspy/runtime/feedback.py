"""Check feedback for an inference or an episode, send it, and wait until it is stored."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

from t0dspy.artifact import user_config
from t0dspy.errors import BundleError, SettingsError, WarehouseError
from t0dspy.gateway import HttpGateway
from t0dspy.model import Schema, Text, resolve
from t0dspy.runtime.chat_text import answer_in
from t0dspy.runtime.functions import check_fields, find_function, read_fields
from t0dspy.runtime.tags import checked_tags, rater_tags
from t0dspy.warehouse.client import StoredInference, Warehouse
from t0dspy.warehouse.production import FILLED

_PATIENCE = 15.0
LARGEST_SCORE = 3.4028234663852886e38
"""The largest 32-bit float."""


@dataclass(frozen=True)
class Feedback:
    """Feedback that was stored."""

    id: str
    metric: str
    value: Any
    """The value as it was sent; for a demonstration, all fields."""
    filled: tuple[str, ...] = ()
    """The fields of a demonstration that were filled in."""


def give_feedback(
    target: str,
    metric: str,
    value: str,
    *,
    episode: bool = False,
    by: str | None = None,
    tags: Mapping[str, str] | None = None,
    configs: Path,
    gateway: HttpGateway,
    warehouse: Warehouse,
) -> Feedback:
    """Send feedback and wait until it is stored.

    Args:
        target: the id of an inference, or of an episode if `episode` is true.
        metric: a metric of the config, `demonstration` or `comment`.
        value: `true` or `false`, a number or a text; for a demonstration, a JSON object of output fields. Missing
            fields of a demonstration are filled from the model's output, else with an empty value, and a tag names
            them.
        episode: whether `target` is the id of an episode.
        by: the rater; None if it is the user of the inference, or unknown.
        tags: further tags of the feedback; `pull` leaves out feedback with the tag `t0dspy::test`.
        configs: the directory of TensorZero's config.
        gateway: the gateway to send the feedback to.
        warehouse: the database in which the feedback must appear.

    Raises:
        SettingsError: the metric does not accept the value, or a tag is invalid.
        GatewayError: the gateway refused the feedback.
        WarehouseError: the feedback was sent but not stored, or ClickHouse cannot be reached.
    """
    marks = {**checked_tags(tags or {}), **rater_tags(by)}
    sent: Any = value
    filled: tuple[str, ...] = ()
    if metric == "demonstration":
        if episode:
            raise SettingsError("a demonstration is about an inference; leave --episode out.")
        sent, filled = _demonstration(value, _find_inference(warehouse, target), configs)
    elif metric != "comment":
        sent = _metric_value(metric, value, user_config.metrics(configs).get(metric), episode=episode)
    body: dict[str, Any] = {"metric_name": metric, "value": sent}
    body["episode_id" if episode else "inference_id"] = target
    if filled:
        marks[FILLED] = ",".join(filled)
    if marks:
        body["tags"] = marks
    id = gateway.feedback(body)
    _wait_until_stored(warehouse, id, metric, target)
    return Feedback(id, metric, sent, filled)


def _wait_until_stored(warehouse: Warehouse, id: str, metric: str, target: str) -> None:
    end = time.monotonic() + _PATIENCE
    while not warehouse.feedback_is_stored(id, metric, target):
        if time.monotonic() > end:
            raise WarehouseError(
                f"the gateway took the feedback (id {id}), but ClickHouse does not have it after {_PATIENCE:g} s. "
                "The gateway's log may say why; give it again."
            )
        time.sleep(0.05)


def _find_inference(warehouse: Warehouse, id: str) -> StoredInference:
    inference = warehouse.inference(id)
    if inference is None:
        raise SettingsError(f"no inference {id} is logged. Is it an episode's id, or of another database?")
    return inference


def _metric_value(name: str, value: str, metric: Mapping[str, Any] | None, *, episode: bool) -> bool | float:
    if metric is not None and metric.get("level") != ("episode" if episode else "inference"):
        remedy = "give an episode's id with --episode" if metric.get("level") == "episode" else "leave --episode out"
        raise SettingsError(f"the metric {name!r} is about an {metric.get('level')}: {remedy}.")
    kind = metric["type"] if metric else None
    if kind != "float" and value.lower() in ("true", "false"):
        return value.lower() == "true"
    try:
        if kind != "boolean":
            return stored_number(float(value), f"the metric {name!r}")
    except ValueError:
        pass
    takes = {"boolean": "true or false", "float": "a number"}.get(str(kind), "true, false or a number")
    raise SettingsError(f"the metric {name!r} takes {takes}, not {value!r}.")


def stored_number(value: float, name: str) -> float:
    """Return `value` if ClickHouse can store it. TensorZero 2026.6.0 stores scores as 32-bit floats.

    Raises:
        SettingsError: it is not a number, or it would be stored as infinity, which all queries of scores leave out.
    """
    if not math.isfinite(value) or abs(value) > LARGEST_SCORE:
        raise SettingsError(
            f"{name} takes a finite number of at most {LARGEST_SCORE:.3g} in size, not {value:g}: it would be stored "
            "as infinity and be left out of every mean."
        )
    return value


def _demonstration(value: str, inference: StoredInference, configs: Path) -> tuple[Any, tuple[str, ...]]:
    """Return the corrected output of `inference` in the gateway's form, and the fields that were filled in."""
    given = _parse_object(value)
    if given is None:
        if inference.type == "chat":
            return value, ()
        raise SettingsError('a demonstration is a JSON object of output fields, such as {"answer": "yes"}.')
    schema, written, form = _contract(inference, configs)
    answered = read_fields(_raw(inference), schema, written) or {}
    fields = {name: given.get(name, _filling(name, schema, answered)) for name in schema["properties"]}
    needed = schema.get("required", ()) if inference.type == "json" else schema["properties"]
    fields = {name: field for name, field in fields.items() if name in given or name in needed}
    fields |= {name: field for name, field in given.items() if name not in fields}
    check_fields(fields, schema, f"the demonstration for {inference.function}")
    filled = tuple(name for name in fields if name not in given)
    return (fields if inference.type == "json" else answer_in(form, fields)), filled


def _parse_object(value: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(value)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _contract(inference: StoredInference, configs: Path) -> tuple[Schema, Text, Text]:
    """Return the schema of the outputs, the text of this answer, and the text of all answers of the function."""
    if inference.type == "json":
        return json.loads(inference.output_schema), "json", "json"
    try:
        function = find_function(configs, inference.function)
        return function.outputs, function.text_of(inference.variant), function.type
    except BundleError as error:
        raise SettingsError(f"{error} So give the text of the demonstration itself, not fields.") from error


def _raw(inference: StoredInference) -> str:
    output = json.loads(inference.output)
    if inference.type == "json":
        return output.get("raw") or ""
    return "".join(block.get("text") or "" for block in output)


_EMPTY = {"string": "", "integer": 0, "number": 0.0, "boolean": False, "array": [], "null": None}


def _filling(name: str, schema: Schema, answered: Mapping[str, Any]) -> Any:
    """Return the model's value for a field if it fits the schema, else an empty value that fits."""
    part = {**schema["properties"][name], "$defs": schema.get("$defs", {})}
    validator = jsonschema.Draft202012Validator(part)
    candidates = [answered[name]] if name in answered else []
    return next((value for value in [*candidates, _empty(part, schema)] if validator.is_valid(value)), None)


def _empty(part: Schema, whole: Schema) -> Any:
    part = resolve(part, whole)
    if "default" in part:
        return part["default"]
    if "enum" in part or "const" in part:
        return part.get("enum", [part.get("const")])[0]
    if "anyOf" in part:
        nullable = any(option.get("type") == "null" for option in part["anyOf"])
        return None if nullable else _empty(part["anyOf"][0], whole)
    if part.get("type") == "object":
        wanted = part.get("required", ())
        return {name: _empty(field, whole) for name, field in part.get("properties", {}).items() if name in wanted}
    return _EMPTY.get(str(part.get("type")))
