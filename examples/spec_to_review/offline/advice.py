"""What the instructions and demos of a prompt make the model do; the rules are told in the package's docstring."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from examples.spec_to_review.offline.prompt import Prompt
from examples.spec_to_review.offline.wanted import Wanted, read_list, read_wanted
from examples.spec_to_review.reading import written_as_code

ATTENTION = 60
"""Words of the instructions that are followed."""
_FORBIDS = re.compile(r"\b(?:not|never|without|ignore|don't|skip)\b", re.IGNORECASE)
_TOLD = {
    "thorough": re.compile(r"\b(?:every|each|all)\b(?:\s+\w+){0,3}\s+examples?\b", re.IGNORECASE),
    "careful": re.compile(r"\b(?:empty|edge|nothing)\b", re.IGNORECASE),
    "divided": re.compile(
        r"\b(?:own|each|separate|one)\b.*\bsections?\b|\bsections?\b.*\b(?:own|each|separate|one)\b", re.I
    ),
    "deep": re.compile(r"\b(?:steps?|combin\w+|compos\w+|several)\b", re.IGNORECASE),
    "checking": re.compile(
        r"\b(?:run|check|verify|test) (?:it|the|them|that|whether|by|each|every|all)\b", re.IGNORECASE
    ),
}


@dataclass(frozen=True)
class Advice:
    """How the model goes about a task."""

    thorough: bool = False
    careful: bool = False
    divided: bool = False
    deep: bool = False
    checking: bool = False
    code_seen: str = ""
    """The code in demos."""


def advice(prompt: Prompt) -> Advice:
    """What `prompt` makes the model do."""
    told = _told(prompt.instructions)
    shown = _shown(prompt)
    code = "\n".join(demo.get("code", "") for demo in prompt.demos)
    return Advice(**{name: name in told or name in shown for name in _TOLD}, code_seen=code)


def _told(instructions: str) -> set[str]:
    followed = " ".join(instructions.split()[:ATTENTION])
    sentences = [one for one in re.split(r"(?<=[.!?;])\s+", followed) if not _FORBIDS.search(one)]
    return {name for name, words in _TOLD.items() if any(words.search(one) for one in sentences)}


def _shown(prompt: Prompt) -> set[str]:
    seen: set[str] = set()
    for demo in prompt.demos:
        functions = read_wanted(demo.get("functions"))
        if "spec" in demo and _beyond_code(demo["spec"], functions):
            seen.add("thorough")
        if "functions" in prompt.outputs and _about_the_empty(functions):
            seen.add("careful")
        if len(read_list(demo.get("sections"))) > 1:
            seen.add("divided")
        if "code" in prompt.outputs and demo.get("code", "").count("result = ") > 1:
            seen.add("deep")
        if "code" in prompt.outputs and "if not result" in demo.get("code", ""):
            seen.add("careful")
        if '"findings": ["' in demo.get("review", ""):
            seen.add("checking")
    return seen


def _beyond_code(spec: str, functions: Sequence[Wanted]) -> bool:
    plain = {call for call, _ in written_as_code(spec)}
    return any(call not in plain for one in functions for call, _ in one.examples)


def _about_the_empty(functions: Sequence[Wanted]) -> bool:
    return any(_TOLD["careful"].search(text) for one in functions for text in one.requirements)
