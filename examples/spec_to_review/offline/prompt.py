"""What a chat request asks, read from the text that DSPy's adapters write."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

_FIELD = re.compile(r"^\[\[ ## (\w+) ## \]\][ \t]*(?:\n|\Z)", re.MULTILINE)
_LISTED = re.compile(r"^\d+\. `(\w+)` \((.*?)\):", re.MULTILINE)
_FOLDED = re.compile(r"<example>\n<input>\n(.*?)\n</input>\n<output>\n(.*?)\n</output>\n</example>", re.DOTALL)
_REMINDER = re.compile(r"\n*Respond with (?:the corresponding output fields|a JSON object in the following order)")


@dataclass(frozen=True)
class Prompt:
    """A task as the adapter put it."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    """Field -> type, in their order."""
    instructions: str
    demos: Sequence[Mapping[str, str]]
    """Fields of inputs and outputs, as text."""
    as_json: bool


def read(messages: Sequence[Mapping[str, Any]]) -> Prompt | None:
    """The task in `messages`; None when they are not written by one of DSPy's adapters."""
    texts = [(str(one.get("role")), _text(one.get("content"))) for one in messages]
    system = "\n".join(text for role, text in texts if role == "system")
    listed, _, rest = system.partition("Your output fields are:")
    fields, told, rest = rest.partition("All interactions will be structured in the following way")
    if not told or not texts or texts[-1][0] != "user":
        return None
    inputs, outputs = dict(_LISTED.findall(listed)), dict(_LISTED.findall(fields))
    _, _, rest = rest.partition("your objective is:")
    instructions, _, folded = rest.partition("\n\nHere are examples of this task")
    pairs = [*_FOLDED.findall(folded), *_turns([one for one in texts if one[0] != "system"])]
    return Prompt(
        inputs=_blocks(_REMINDER.split(texts[-1][1])[0], inputs),
        outputs=outputs,
        instructions=" ".join(instructions.split()),
        demos=[{**_blocks(asked, inputs), **_answer(said, outputs)} for asked, said in pairs],
        as_json="Outputs will be a JSON object" in system,
    )


def write(prompt: Prompt, values: Mapping[str, Any]) -> str:
    """An answer in the text that the prompt asks for; fields without a value are empty."""
    answers = {name: values.get(name, "") for name in prompt.outputs}
    if prompt.as_json:
        return json.dumps(answers, ensure_ascii=False)
    texts = {
        name: one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for name, one in answers.items()
    }
    return "".join(f"[[ ## {name} ## ]]\n{text}\n\n" for name, text in texts.items()) + "[[ ## completed ## ]]"


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")


def _turns(texts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [
        (_REMINDER.split(asked)[0], said)
        for (one, asked), (other, said) in pairwise(texts)
        if (one, other) == ("user", "assistant")
    ]


def _blocks(text: str, names: Mapping[str, str]) -> dict[str, str]:
    """The fields of a text, each where its marker stands first."""
    marks = [one for one in _FIELD.finditer(text) if one.group(1) in (*names, "completed")]
    seen: dict[str, re.Match[str]] = {}
    for mark in marks:
        seen.setdefault(mark.group(1), mark)
    starts = [*seen.values()]
    ends = [*(one.start() for one in starts[1:]), len(text)]
    found = {one.group(1): text[one.end() : end].strip() for one, end in zip(starts, ends, strict=False)}
    return {name: value for name, value in found.items() if name in names}


def _answer(text: str, names: Mapping[str, str]) -> dict[str, str]:
    try:
        given = json.loads(text)
    except ValueError:
        return _blocks(text, names)
    if not isinstance(given, dict):
        return {}
    return {name: one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for name, one in given.items()}
