"""Check values against a schema with `jsonschema-rs`, with the same results as `jsonschema`."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jsonschema
import jsonschema_rs

from t0dspy.model import Schema

Check = Callable[[Any], bool]


def fits(schema: Schema) -> Check:
    """Return a check of objects against `schema`, a function's schema, with the same results as `jsonschema`.

    Values that JSON cannot represent (NaN, infinity) do not fit.
    """
    validator = jsonschema_rs.Draft202012Validator(schema)

    def check(value: Any) -> bool:
        try:
            return _is_finite(value) and validator.is_valid(value)
        except UnicodeEncodeError:  # jsonschema-rs 0.61 raises it for half a surrogate pair
            return jsonschema.Draft202012Validator(schema).is_valid(value)

    return check


def _is_finite(value: Any) -> bool:
    rest = [value]  # not by recursion, because a logged value may be nested more deeply than Python calls may be
    while rest:
        part = rest.pop()
        if isinstance(part, float) and not math.isfinite(part):
            return False
        rest.extend(part.values() if isinstance(part, Mapping) else part if isinstance(part, list) else ())
    return True
