"""Generate hard values for a JSON Schema: Unicode, delimiters, markers, extremes, nesting."""

import random
import string
from collections.abc import Iterator
from typing import Any

from t0dspy.compiler.printing import SchemaWalk
from t0dspy.model import Schema
from t0dspy.parity.patterns import fitting_text

TEXTS = [
    *("", " ", "word", "\n", "\r\n", "\t", '"', "'", "\\", "<b>", "&", "null", "None", "true", "«x»", "0", "1e5"),
    *("{", "}", "{{", "}}", "{%", "%}", "{#", "#}", "{{ x }}", "{% endraw %}", "{% raw %}", "{{ '{' }}", "${x}", "%s"),
    *("é", "e\u0301", "日本", "🎉", "👩‍👩‍👧", "\u200b", "\u2028", "\u2029", "\ufeff", "\x7f", "\x01", "\x00", "\u0130"),
    *("[[ ## answer ## ]]", "[[ ## completed ## ]]", "</output>", "</example>", "```json", "  indented\n\ttext  "),
    "<<CUSTOM-TYPE-START-IDENTIFIER>>[{'type': 'text', 'text': 'x'}]<<CUSTOM-TYPE-END-IDENTIFIER>>",
    '<<CUSTOM-TYPE-START-IDENTIFIER>>[{"type":"image_url","image_url":{"url":"x"}}]<<CUSTOM-TYPE-END-IDENTIFIER>>',
]
"""Pieces of generated strings."""

FLOATS = [0.0, -0.0, 1.0, 0.1 + 0.2, 1e-4, 9.99e-5, 1e-5, -1.5e-5, 1e-6, 1e-7, 1.2e-7, 1e15, 1e16, 1e17, 1e22]
FLOATS += [1.5e300, -1.7976931348623157e308, 5e-324, 2.2250738585072014e-308, 1 / 3, 123456789.123456789]
INTEGERS = [0, 1, -1, 42, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 1 - 2**63, 2**64 - 1]

LONG = 100_000
"""The length of a long string, in characters."""

DEEP = 40
"""The depth of a deeply nested free-form value; the gateway refuses more than 69 levels."""

TRIES = 20
"""How many strings are tried for a pattern before the field is given up."""

_FORMATS = {
    "date": ["2024-02-29", "0001-01-01", "9999-12-31"],
    "date-time": ["2024-01-02T03:04:05", "2024-01-02T03:04:05.000600", "2024-01-02T00:00:00Z", "1970-01-01T23:59:59Z"],
    "time": ["03:04:05", "23:59:59.999999"],
    "duration": ["PT1H", "P1DT2H3M4.5S", "PT0S"],
    "uuid": ["12345678-1234-5678-1234-567812345678"],
    "email": ["a@example.com"],
    "uri": ["https://example.com/a?b={c}"],
    "ipv4": ["127.0.0.1"],
    "ipv6": ["::1"],
    "path": ["/a/b {c}.txt"],
    "binary": ["bytes"],
}


class NoFittingValue(Exception):  # noqa: N818
    """The generator finds no value for a schema, for example because of a pattern."""


class Generator(SchemaWalk):
    """Generate random values that fit parts of a schema."""

    def __init__(self, schema: Schema, random: random.Random) -> None:
        super().__init__(schema)
        self.random = random

    def arguments(self) -> dict[str, Any]:
        """Return an object that fits the whole schema; it has each optional field with a probability of 0.7."""
        required = self.schema.get("required", [])
        names = [name for name in self.schema["properties"] if name in required or self.random.random() < 0.7]
        return {name: self.value(self.property(name)) for name in names}

    def edges(self) -> Iterator[dict[str, Any]]:
        """Yield objects that have an extreme value in one field: special, long or deeply nested values."""
        for name in self.schema["properties"]:
            for value in self._extremes(self.property(name)):
                yield {**self.arguments(), name: value}

    def value(self, part: Schema, depth: int = 4) -> Any:
        """Return a value that fits `part` and is nested at most about `depth` levels deep.

        Raises:
            NoFittingValue: if the generator finds none.
        """
        part = self.definition(part)
        if "const" in part:
            return part["const"]
        if "enum" in part:
            return self.random.choice(part["enum"])
        if "anyOf" in part:
            return self.value(self._alternative(part["anyOf"], depth), depth)
        kind = part.get("type")
        if kind is None:
            return self._anything(depth)
        return getattr(self, f"_{kind}")(part, depth)

    def _alternative(self, parts: list[Schema], depth: int) -> Schema:
        flat = [part for part in parts if self.definition(part).get("type") not in ("object", "array")]
        return self.random.choice(flat if depth <= 0 and flat else parts)

    def _extremes(self, part: Schema) -> list[Any]:
        part = self.definition(part)
        if "anyOf" in part:
            return [value for alternative in part["anyOf"] for value in self._extremes(alternative)]
        if not part or (part.get("type") == "object" and part.get("additionalProperties") is True):
            declared = self.value(part) if part.get("properties") else {}
            return [{**declared, **rest} for rest in (self._nested(DEEP), {"b": 1, "a": {"é": None, "": []}})]
        if part.get("type") == "string" and not part.keys() & {
            "enum",
            "const",
            "format",
            "pattern",
            "maxLength",
            "minLength",
        }:
            return [*TEXTS, "".join(self._piece() for _ in range(60)), ("word {x} " * LONG)[:LONG]]
        if part.get("type") == "number" and not part.keys() - {"type", "default"}:
            return list(FLOATS)
        if part.get("type") == "null":
            return [None]
        return list(part["enum"]) if "enum" in part else []

    def _nested(self, depth: int) -> Any:
        value: Any = [1.0, None]
        for level in range(depth):
            value = [value] if level % 2 else {"k": value}
        return value if isinstance(value, dict) else {"k": value}

    def _piece(self) -> str:
        return self.random.choice([*TEXTS, self.random.choice(string.ascii_letters)])

    def _null(self, part: Schema, depth: int) -> None:
        return None

    def _boolean(self, part: Schema, depth: int) -> bool:
        return self.random.random() < 0.5

    def _string(self, part: Schema, depth: int) -> str:
        if "format" in part and part["format"] in _FORMATS:
            return self.random.choice(_FORMATS[part["format"]])
        if "pattern" in part:
            return self._of_pattern(part["pattern"])
        least, most = part.get("minLength", 0), part.get("maxLength", LONG)
        text = "".join(self._piece() for _ in range(self.random.choice((0, 1, 2, 5, 12))))
        while len(text) < least:
            text += self._piece() or "x"
        return text[:most]

    def _of_pattern(self, pattern: str) -> str:
        for _ in range(TRIES):
            text = fitting_text(pattern, self.random)
            if text is not None:
                return text
        raise NoFittingValue(f"no generated value matches the pattern {pattern!r}")

    def _integer(self, part: Schema, depth: int) -> int:
        least, most = self._bounds(part, 1)
        step = part.get("multipleOf", 1)
        tries = [*INTEGERS, self.random.randint(-(10**9), 10**9), least, most, least + step]
        fitting = [number for number in tries if least <= number <= most and number % step == 0]
        if fitting:
            return int(self.random.choice(fitting))
        return int(-(-least // step) * step)

    def _number(self, part: Schema, depth: int) -> float:
        least, most = self._bounds(part, 0)
        uniform = self.random.uniform(-1, 1) * 10 ** self.random.randint(-20, 20)
        step = part.get("multipleOf")
        tries = [*FLOATS, uniform, least, most, (least + most) / 2]
        tries = [number * step for number in INTEGERS[:5]] if step else tries
        within = [number for number in tries if least <= number <= most and self._inside(part, number)]
        if not within:
            raise NoFittingValue(f"no generated number fits between {least} and {most}")
        return float(self.random.choice(within))

    def _bounds(self, part: Schema, step: int) -> tuple[Any, Any]:
        least = max(part.get("minimum", -1.7e308), part.get("exclusiveMinimum", -1.7e308) + step)
        most = min(part.get("maximum", 1.7e308), part.get("exclusiveMaximum", 1.7e308) - step)
        return least, most

    def _inside(self, part: Schema, value: float) -> bool:
        above = "exclusiveMinimum" not in part or value > part["exclusiveMinimum"]
        return above and ("exclusiveMaximum" not in part or value < part["exclusiveMaximum"])

    def _array(self, part: Schema, depth: int) -> list[Any]:
        first = [self.value(item, depth - 1) for item in part.get("prefixItems", [])]
        least, most = part.get("minItems", 0), part.get("maxItems", 3)
        more = max(least, min(most, self.random.randint(0, 3) if depth > 0 else 0)) - len(first)
        items = part.get("items", {})
        rest = [self.value(items, depth - 1) for _ in range(more)] if items is not False else []
        values = first + rest
        if part.get("uniqueItems"):
            values = [value for index, value in enumerate(values) if value not in values[:index]]
        return values

    def _object(self, part: Schema, depth: int) -> dict[str, Any]:
        declared = part.get("properties", {})
        required = part.get("required", [])
        names = [name for name in declared if name in required or (depth > 0 and self.random.random() < 0.6)]
        value = {name: self.value(declared[name], depth - 1) for name in names}
        rest = part.get("additionalProperties", {})
        if rest is not False:
            count = self.random.randint(0, 3) if depth > 0 else 0
            keys = {self._key(part) for _ in range(count)} - declared.keys()
            value |= {key: self.value(rest if isinstance(rest, dict) else {}, depth - 1) for key in sorted(keys)}
        return value

    def _key(self, part: Schema) -> str:
        names = part.get("propertyNames")
        return str(self.value(names)) if names else "".join(self._piece() for _ in range(self.random.randint(1, 3)))

    def _anything(self, depth: int) -> Any:
        kinds = ["string", "boolean", "null", "integer", "number"] + (["array", "object"] if depth > 0 else [])
        kind = self.random.choice(kinds)
        bounds = {"minimum": INTEGERS[8], "maximum": INTEGERS[9]} if kind == "integer" else {}
        return getattr(self, f"_{kind}")({"type": kind, **bounds}, depth)


def without_defaults(schema: Schema, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return `arguments`, which fit `schema`, without the keys of nested objects whose value is the default."""
    thinner = _Thinner(schema)
    return {name: thinner.thin(value, thinner.property(name)) for name, value in arguments.items()}


class _Thinner(SchemaWalk):
    def thin(self, value: Any, part: Schema) -> Any:
        if isinstance(value, list):
            items = self.definition(self.branch(part, "array")).get("items", {})
            return [self.thin(item, items) for item in value]
        if not isinstance(value, dict):
            return value
        part = self.definition(self.branch(part, "object"))
        declared, rest = part.get("properties", {}), part.get("additionalProperties")
        other = rest if isinstance(rest, dict) else {}
        kept = {name: item for name, item in value.items() if not _is_default(item, declared.get(name, {}))}
        return {name: self.thin(item, declared.get(name, other)) for name, item in kept.items()}


def _is_default(value: Any, part: Schema) -> bool:
    return "default" in part and type(value) is type(part["default"]) and bool(value == part["default"])
