"""Print typed values in a prompt, by a rule that depends on the input schema.

`template` implements the same rule in MiniJinja. The text equals that of stock DSPy except for the order of keys,
because the gateway sorts the keys of objects. Keys that an object declares are printed first, in the declared order;
all others stay sorted.
"""

import json
from typing import Any

from dspy.adapters.utils import serialize_for_json

from t0dspy.model import Schema, resolve


class SchemaWalk:
    """Look up parts of an input schema, for both implementations of the rule."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def definition(self, part: Schema) -> Schema:
        """Return `part`, or the definition that its `$ref` refers to."""
        return resolve(part, self.schema)

    def branch(self, part: Schema, kind: str) -> Schema:
        """Return the only alternative of `part` of JSON type `kind`, or {} if there are none or several."""
        alternatives = self.definition(part).get("anyOf", [part])
        fitting = [alternative for alternative in alternatives if self.definition(alternative).get("type") == kind]
        return fitting[0] if len(fitting) == 1 else {}

    def property(self, name: str) -> Schema:
        """Return the schema of the input field `name`, or {} if the schema does not have it."""
        field: Schema = self.schema.get("properties", {}).get(name, {})
        return field


class Printer(SchemaWalk):
    """Print field values as the exported templates do."""

    def text(self, field: str, value: Any) -> str:
        """Return the text of `value` in the prompt for the input field `field`."""
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
        declared: dict[str, Schema] = part.get("properties", {})
        defaults = {name: schema["default"] for name, schema in declared.items() if "default" in schema}
        value = {**defaults, **value}
        names = [name for name in declared if name in value] + sorted(value.keys() - declared.keys())
        other = rest if isinstance(rest, dict) else {}
        return {name: self._reorder(value[name], declared.get(name, other)) for name in names}
