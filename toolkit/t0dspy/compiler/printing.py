"""How a typed value reads in a prompt: one rule, driven by the input schema, written here in Python.

`template` holds the same rule in MiniJinja. It prints what stock DSPy prints, except that the gateway sorts the keys
of objects: objects that declare their keys get the declared order back, in all others keys stay sorted.
"""

import json
from typing import Any

from dspy.adapters.utils import serialize_for_json

from t0dspy.model import Schema, resolve


class SchemaWalk:
    """Questions that both back ends ask of an input schema."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def definition(self, part: Schema) -> Schema:
        """`part`, or what its `$ref` points to."""
        return resolve(part, self.schema)

    def branch(self, part: Schema, kind: str) -> Schema:
        """The one alternative of `part` that takes a value of JSON type `kind`; empty when there are several."""
        alternatives = self.definition(part).get("anyOf", [part])
        fitting = [one for one in alternatives if self.definition(one).get("type") == kind]
        return fitting[0] if len(fitting) == 1 else {}

    def property(self, name: str) -> Schema:
        """The schema of the input field `name`; empty for a field the schema lacks."""
        found: Schema = self.schema.get("properties", {}).get(name, {})
        return found


class Printer(SchemaWalk):
    """Prints field values as the exported templates do."""

    def text(self, field: str, value: Any) -> str:
        """The text of `value` in the prompt, for the input field named `field`."""
        ordered = self._reorder(serialize_for_json(value), self.property(field))
        return json.dumps(ordered, ensure_ascii=False) if isinstance(ordered, dict | list) else str(ordered)

    def _reorder(self, value: Any, part: Schema) -> Any:
        if isinstance(value, dict):
            return self._reorder_object(value, self.definition(self.branch(part, "object")))
        if isinstance(value, list):
            items = self.definition(self.branch(part, "array")).get("items", {})
            return [self._reorder(item, items) for item in value]
        return value

    def _reorder_object(self, value: dict[str, Any], part: Schema) -> dict[str, Any]:
        rest = part.get("additionalProperties")
        declared: dict[str, Schema] = part["properties"] if rest is False else {}
        defaults = {name: one["default"] for name, one in declared.items() if "default" in one}
        value = {**defaults, **value}
        names = [name for name in declared if name in value] + sorted(value.keys() - declared.keys())
        other = rest if isinstance(rest, dict) else {}
        return {name: self._reorder(value[name], declared.get(name, other)) for name in names}
