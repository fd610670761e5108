"""Write messages and typed values as MiniJinja template text."""

import json
import re
from collections.abc import Iterator
from typing import Any

from dspy import Signature
from dspy.adapters.utils import format_field_value

from t0dspy.artifact.text_values import TEXT
from t0dspy.compiler import macros
from t0dspy.compiler.printing import SchemaWalk
from t0dspy.compiler.schema import has_default, is_untyped
from t0dspy.model import Schema, Text, definition_name

_OPENING = re.compile(r"\{(?=[{%#]|\Z)")

_FUNCTIONS = frozenset(("range", "dict", "debug", "namespace"))
"""The functions that MiniJinja defines in every template."""


def escape(text: str) -> str:
    """Return template text that renders as exactly `text`, even if it contains delimiters.

    A `{` at the very end is escaped too, because it could open a tag together with the text that follows.
    """
    return _OPENING.sub("{{ '{' }}", text)


def finished(template: str) -> str:
    """Return `template` as the content of a file, with an additional newline if it ends with one."""
    # Workaround (tensorzero 2026.6): the gateway's MiniJinja removes one newline at the end of a template; remove when
    # it keeps trailing newlines. See mitsuhiko/minijinja#333.
    return template + "\n" if template.endswith("\n") else template


def user_template(signature: type[Signature], schema: Schema, reminder: str, text: Text = "chat") -> str:
    """Return the template of the input message: a block per field, then DSPy's reminder of the output format.

    Args:
        signature: the predictor's signature.
        schema: its input schema, as `schema.input_schema` returns it.
        reminder: the text that the adapter writes below the inputs.
        text: the adapter text.
    """
    walk = _TemplateWalk(schema)
    blocks = []
    for name, info in signature.input_fields.items():
        value = walk.passages(name) if is_untyped(info) else walk.as_text(walk.property(name), name)
        block = _with_text_value(name, value, text)
        if name not in schema["required"]:
            default = str(format_field_value(info, info.default)) if has_default(info) else None
            otherwise = "" if default is None else f"{{% else %}}{escape(_block(name, default, text))}"
            block = f"{{% if {_given(name)} %}}{block}{otherwise}{{% endif %}}"
        blocks.append(block)
    return "".join(walk.macros.values()) + "".join(blocks) + escape(reminder)


def _with_text_value(name: str, value: str, text: Text) -> str:
    """Return the block of a field that prints a text value unchanged, and any other value as `value` does."""
    verbatim = f"{name}['{TEXT}']"
    as_text = f"{{% if {verbatim} is not none %}}{_block(name, f'{{{{ {verbatim} }}}}', text)}{{% endif %}}"
    is_text = f"{name} is mapping and {verbatim} is defined"
    return f"{{% if {is_text} %}}{as_text}{{% else %}}{_block(name, value, text)}{{% endif %}}"


def _block(name: str, value: str, text: Text) -> str:
    return f"<{name}>\n{value}\n</{name}>\n\n" if text == "xml" else f"[[ ## {name} ## ]]\n{value}\n\n"


def arguments_template(schema: Schema) -> str:
    """Return a template that renders the arguments as a JSON object, in which the program server receives them."""
    required = schema["required"]
    comma = "," if required else "{% if _any %},{% endif %}{% set _any = true %}"
    pairs = ",".join(_pair(name) for name in required)
    for name in schema["properties"]:
        if name not in required:
            pairs += f"{{% if {_given(name)} %}}{comma}{_pair(name)}{{% endif %}}"
    start = "" if required else "{% set _any = false %}"
    return f"{start}{escape('{')}{{% autoescape 'json' %}}{pairs}{{% endautoescape %}}}}"


def _given(name: str) -> str:
    """Return the template condition that a caller sent the input `name`."""
    # Workaround (tensorzero 2026.6): MiniJinja's global functions count as defined, so `is defined` is true for an
    # input of the same name that is missing; remove when the gateway renders without them.
    if name not in _FUNCTIONS:
        return f"{name} is defined"
    return " or ".join(f"{name} is {kind}" for kind in ("none", "boolean", "number", "string", "sequence", "mapping"))


def _pair(name: str) -> str:
    return f"{json.dumps(name)}:{{{{ {name} }}}}"


def _literal(value: Any) -> str:
    """Return `value`, any JSON, as a MiniJinja expression."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)}: {_literal(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return "none" if value is None else json.dumps(value)


class _TemplateWalk(SchemaWalk):
    """Write template text that prints an expression as `Printer` prints its value."""

    def __init__(self, schema: Schema) -> None:
        super().__init__(schema)
        self.macros: dict[str, str] = {}

    def passages(self, name: str) -> str:
        """Print a field without a type: a string unchanged, a list of strings as numbered passages."""
        return f"{{% if {name} is string %}}{{{{ {name} }}}}{{% else %}}{self._call('_passages', name)}{{% endif %}}"

    def as_text(self, part: Schema, expression: str) -> str:
        """Print a field: a string unchanged, objects and lists as JSON, everything else as Python's `str` does."""
        kinds = self._kinds(part)
        if kinds <= {"string", "integer"}:
            return f"{{{{ {expression} }}}}"
        if kinds == {"boolean"}:
            return f"{{{{ 'True' if {expression} else 'False' }}}}"
        if kinds <= {"object", "array"}:
            return self._as_json(part, expression)
        if not self._declares_keys(part):
            return self._call("_text", expression)
        return self._alternatives(self.definition(part), expression, 0, otherwise="_text")

    def _call(self, macro: str, expression: str) -> str:
        for name, text in macros.with_needs(macro).items():
            self.macros.setdefault(name, text)
        return f"{{{{ {macro}({expression}) }}}}"

    def _kinds(self, part: Schema) -> set[str]:
        part = self.definition(part)
        if "anyOf" in part:
            return set().union(*map(self._kinds, part["anyOf"]))
        if "type" in part:
            return {part["type"]}
        of_python = {str: "string", bool: "boolean", int: "integer"}
        return {of_python.get(type(value), "any") for value in part.get("enum", [part.get("const")])}

    def _declares_keys(self, part: Schema, above: tuple[Schema, ...] = ()) -> bool:
        """Return whether `part` contains an object that declares its keys."""
        part = self.definition(part)
        if any(part is parent for parent in above):
            return False
        inner = [part.get("items"), part.get("additionalProperties"), *part.get("anyOf", [])]
        below = (self._declares_keys(child, (*above, part)) for child in inner if isinstance(child, dict))
        return part.get("additionalProperties") is False or bool(part.get("properties")) or any(below)

    def _as_json(self, part: Schema, expression: str, depth: int = 0) -> str:
        if not self._declares_keys(part):
            return self._call("_json", expression)
        if "$ref" in part:
            return f"{{{{ {self._macro_of(part)}({expression}) }}}}"
        if "anyOf" in part:
            return self._alternatives(part, expression, depth)
        if part["type"] == "array":
            return self._array(part, expression, depth)
        return self._object(part, expression, depth)

    def _macro_of(self, part: Schema) -> str:
        """Return the macro of a definition; each has its own, so that recursive models work."""
        name = definition_name(part)
        macro = "_of_" + "".join(char if char.isascii() and char.isalnum() else f"_{ord(char):x}_" for char in name)
        if macro not in self.macros:
            self.macros[macro] = ""  # reserves the name, because the definition may refer to itself
            body = self._as_json(self.definition(part), "v")
            self.macros[macro] = f"{{%- macro {macro}(v) -%}}{body}{{%- endmacro -%}}\n"
        return macro

    def _alternatives(self, part: Schema, expression: str, depth: int, otherwise: str = "_json") -> str:
        out, word = "", "if"
        for test, kind in (("mapping", "object"), ("sequence", "array")):
            branch = self.branch(part, kind)
            if branch and self._declares_keys(branch):
                out += f"{{% {word} {expression} is {test} %}}{self._as_json(branch, expression, depth)}"
                word = "elif"
        plain = self._call(otherwise, expression)
        return f"{out}{{% else %}}{plain}{{% endif %}}" if out else plain

    def _array(self, part: Schema, expression: str, depth: int) -> str:
        item = f"_x{depth}"
        inner = self._as_json(part["items"], item, depth + 1)
        return f"[{{% for {item} in {expression} %}}{inner}{{{{ ', ' if not loop.last }}}}{{% endfor %}}]"

    def _object(self, part: Schema, expression: str, depth: int) -> str:
        """Print the declared keys of an object in their order, then the other keys in that of the gateway."""
        declared = ", ".join(self._pairs(part, expression, depth))
        return f"{{{{ '{{' }}}}{declared}{self._rest(part, expression, depth)}}}"

    def _pairs(self, part: Schema, expression: str, depth: int) -> Iterator[str]:
        for name, schema in part.get("properties", {}).items():
            key, item = escape(json.dumps(name, ensure_ascii=False)), f"{expression}[{json.dumps(name)}]"
            item = f"{item}|default({_literal(schema['default'])})" if "default" in schema else item
            yield f"{key}: {self._as_json(schema, item, depth)}"

    def _rest(self, part: Schema, expression: str, depth: int) -> str:
        rest, item = part["additionalProperties"], f"_x{depth}"
        if rest is False:
            return ""
        pair = f"{self._call('_json', '_k')}: {self._as_json(rest if isinstance(rest, dict) else {}, item, depth + 1)}"
        names = list(part.get("properties", {}))
        if names:
            others = f"{expression}|items if _k not in {_literal(names)}"
            return f"{{% for _k, {item} in {others} %}}, {pair}{{% endfor %}}"
        return f"{{% for _k, {item} in {expression}|items %}}{pair}{{{{ ', ' if not loop.last }}}}{{% endfor %}}"
