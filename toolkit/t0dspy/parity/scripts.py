"""Scripted answers of a provider for a signature and an adapter: what models write, and how providers fail."""

import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast, get_args

import dspy
import pydantic
from pydantic.fields import FieldInfo

from localkit.scripted_upstream import Reply
from t0dspy.parity.generate import Generator, NoFittingValue

Kind = Literal[
    "good",
    "prose then JSON",
    "prose twice",
    "fenced",
    "cut",
    "empty",
    "null then JSON",
    "refusal",
    "content filter",
    "401",
    "429",
    "500",
    "context too long",
    "prose then 500",
    "wrong types",
    "reasoning",
]
"""The kinds of answers. "then" is the answer to the JSON prompt with which DSPy's adapters ask again."""

KINDS: tuple[Kind, ...] = get_args(Kind)

PROSE = "I think so, but it depends."
WORDS = ("alpha", "river", "seven", "Zürich", "it's", "well-known", "42nd", "a b", "no", "日本")

_ERROR = {"type": "invalid_request_error", "code": "context_length_exceeded"}
TOO_LONG = Reply(
    status=400,
    raw=json.dumps({"error": {"message": "This model's maximum context length is 8 tokens.", **_ERROR}}).encode(),
)

SignatureType = type[dspy.Signature]


@dataclass(frozen=True)
class Asked:
    """What a request asks for: the fields of `signature`, in the text of `adapter`."""

    signature: SignatureType
    adapter: dspy.Adapter
    again: bool = False
    """Whether it is the JSON prompt after an answer that another adapter could not parse."""
    tools: Mapping[str, Mapping[str, Any]] | None = None
    """Name -> JSON Schema of each argument, for programs that let the model choose a tool."""


def scripted_reply(kind: Kind, asked: Asked, seed: str) -> Reply:
    """Return the answer of `kind` to a request; the same arguments give the same answer.

    Args:
        kind: one of `KINDS`.
        asked: what the request asks for.
        seed: selects the values of the fields.
    """
    make = _REPLIES[kind]
    return make(asked, good_text(asked, seed))


def good_text(asked: Asked, seed: str) -> str:
    """Return an answer that the adapter parses, with values of the declared types where a generator finds some."""
    values = good_values(asked, random.Random(seed))
    adapter = cast("Any", asked.adapter)
    try:
        return str(adapter.format_assistant_message_content(asked.signature, values))
    except Exception:  # an adapter of the user's own need not have this method
        return " ".join(f"{name}: {value}" for name, value in values.items()) or PROSE


def good_values(asked: Asked, chance: random.Random) -> dict[str, Any]:
    """Return a value for each output field of `asked`."""
    values = {name: good_value(_with_bounds(info), chance) for name, info in asked.signature.output_fields.items()}
    chosen = values.get("next_tool_name")
    if asked.tools and isinstance(chosen, str) and "next_tool_args" in values:  # dspy.ReAct
        values["next_tool_args"] = arguments_for(asked.tools.get(chosen, {}), chance)
    return values


def arguments_for(parameters: Mapping[str, Any], chance: random.Random) -> dict[str, Any]:
    """Return a value for each argument of a tool, from the JSON Schemas of its `parameters`."""
    return {name: _from_schema(dict(schema), chance) for name, schema in parameters.items()}


def good_value(annotation: Any, chance: random.Random) -> Any:
    """Return a value of the type `annotation`, or a text if none can be generated."""
    try:
        types = pydantic.TypeAdapter(annotation)
        value = _from_schema(types.json_schema(), chance)
        return types.validate_python(value)
    except Exception:  # a type's own schema hook may raise anything
        return _Words({}, chance).text()


def _with_bounds(info: FieldInfo) -> Any:
    return Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation


def _from_schema(schema: dict[str, Any], chance: random.Random) -> Any:
    try:
        return _Words(schema, chance).value(schema)
    except NoFittingValue:
        return None


class _Words(Generator):
    """Generates plain words, so that a good answer is one that every adapter can parse."""

    def __init__(self, schema: dict[str, Any], chance: random.Random) -> None:
        super().__init__(schema, chance)

    def text(self) -> str:
        """Return one to four words."""
        return " ".join(self._piece() for _ in range(self.random.randint(1, 4)))

    def value(self, part: dict[str, Any], depth: int = 4) -> Any:
        """Return a value that fits `part`, also if `part` is a tagged union."""
        part = self.definition(part)
        return super().value({"anyOf": part["oneOf"]} if "oneOf" in part else part, depth)

    def _piece(self) -> str:
        return self.random.choice(WORDS)

    def _string(self, part: dict[str, Any], depth: int) -> str:
        plain = not part.keys() & {"format", "pattern", "maxLength", "minLength"}
        return self.text() if plain else super()._string(part, depth)

    def _integer(self, part: dict[str, Any], depth: int) -> int:
        plain = not part.keys() - {"type", "default", "title", "description"}
        return self.random.randint(-1000, 1000) if plain else super()._integer(part, depth)

    def _number(self, part: dict[str, Any], depth: int) -> float:
        plain = not part.keys() - {"type", "default", "title", "description"}
        return round(self.random.uniform(-100, 100), 2) if plain else super()._number(part, depth)


def _message(text: str | None, finish_reason: str = "stop", **keys: Any) -> Reply:
    return Reply(text or "", message={"content": text, **keys}, finish_reason=finish_reason)


def _then_json(first: Reply) -> Callable[[Asked, str], Reply]:
    return lambda asked, good: Reply(good) if asked.again else first


def _cut(asked: Asked, good: str) -> Reply:
    return Reply(good) if asked.again else Reply(good[: len(good) // 2], finish_reason="length")


def _wrong_types(asked: Asked, good: str) -> Reply:
    if isinstance(asked.adapter, dspy.JSONAdapter):
        return Reply(re.sub(r'(": )[^"\s][^,}\n]*', r'\1"not it"', good))
    return Reply(re.sub(r"(\]\]|>)\n[^\n]+\n", r"\1\nnot it\n", good))


_REPLIES: Mapping[Kind, Callable[[Asked, str], Reply]] = {
    "good": lambda asked, good: Reply(good),
    "prose then JSON": _then_json(Reply(PROSE)),
    "prose twice": lambda asked, good: Reply(PROSE),
    "fenced": lambda asked, good: Reply(f"```json\n{good}\n```"),
    "cut": _cut,
    "empty": lambda asked, good: Reply(""),
    "null then JSON": _then_json(_message(None)),
    "refusal": lambda asked, good: _message(None, refusal="I cannot help with that."),
    "content filter": lambda asked, good: _message(None, "content_filter"),
    "401": lambda asked, good: Reply("bad key", status=401),
    "429": lambda asked, good: Reply("slow down", status=429),
    "500": lambda asked, good: Reply("it broke", status=500),
    "context too long": lambda asked, good: TOO_LONG,
    "prose then 500": lambda asked, good: Reply("it broke", status=500) if asked.again else Reply(PROSE),
    "wrong types": _wrong_types,
    "reasoning": lambda asked, good: _message(good, reasoning_content="The user wants an answer."),
}
