"""The model as MIPROv2's prompt model: it describes data and programs, and writes instructions for a task.

An instruction is put together from sentences, each of which comes to mind when the fields of the task suggest it, and
some that always do. Which of them are taken, and how many, follows from the tip and from a hash of the prompt: the same
prompt gives the same instruction, another demo or another tip another one.
"""

import hashlib
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from examples.spec_to_review.offline.prompt import Prompt

Answer = Mapping[str, Any]

_SUGGESTIONS: Sequence[tuple[str, str]] = (
    # which fields suggest it, what goes in before what comes out; the sentence
    (r"spec.*->.*functions", "Take every one of the examples into account, also those in sentences and tables."),
    (r"spec.*->.*functions", "Mind the empty case, and what is said about it."),
    (r"spec.*->", "Read the text from its beginning to its end."),
    (r"functions.*->.*sections", "Give each function a section of its own."),
    (r"functions.*->.*sections", "Keep what belongs together close to each other."),
    (r"functions.*->.*code", "Take every one of the examples into account."),
    (r"functions.*->.*code", "Combine several simple operations, one step after the other."),
    (r"functions.*->.*code", "Mind the empty case, and what is said about it."),
    (r"->.*(?:code|tests)", "Prefer short names and short lines."),
    (r"functions.*->.*tests", "Write down all the examples that there are."),
    (r"code.*->.*review", "Run the code on all examples, and check that results agree."),
    (r"code.*->.*review", "Be fair to the author, and praise what is good."),
)
_ALWAYS = (
    "Be precise and complete.",
    "Answer in as few words as possible.",
    "Think of the reader.",
    "Keep names as they are given.",
)
_TIPS: Sequence[tuple[str, int, str]] = (
    # what stands in a tip, how many sentences it makes, what it puts before them
    ("creative", 3, ""),
    ("concise", 2, ""),
    ("descriptive", 4, ""),
    ("high stakes", 2, "Much depends on this answer, since people trust it and act on it."),
    ("persona", 2, "You are an engineer whom others ask when it matters."),
)


def propose(prompt: Prompt) -> Answer:
    """An instruction: the present one and more."""
    given = prompt.inputs
    fields = given.get("module") or given.get("basic_instruction", "")
    tip = given.get("tip", "")
    count, before = next(((count, before) for word, count, before in _TIPS if word in tip), (3, ""))
    rng = random.Random(hashlib.sha256(repr(sorted(given.items())).encode()).digest())
    fitting = [sentence for pattern, sentence in _SUGGESTIONS if re.search(pattern, fields)]
    chosen = rng.sample(fitting, min(count, len(fitting))) + rng.sample(_ALWAYS, rng.choice([0, 1]))
    basic = " ".join(given.get("basic_instruction", "").split())
    return {"proposed_instruction": " ".join(one for one in (before, basic, *chosen) if one)}


def observe(prompt: Prompt) -> Answer:
    """What examples have in common."""
    return {"observations": f"Each row asks for something in prose. {_told(prompt)}"}


def summarize(prompt: Prompt) -> Answer:
    """Observations in short."""
    return {"summary": f"Texts that describe what is wanted, with examples. {_told(prompt)}"}


def describe_program(prompt: Prompt) -> Answer:
    """What a program does, by the fields in its code."""
    fields = re.findall(r"^\s*(\w+): [\w\[\]]+ = dspy\.\w+Field", prompt.inputs.get("program_code", ""), re.MULTILINE)
    return {"program_description": f"A program whose stages hand on {', '.join(dict.fromkeys(fields)) or 'texts'}."}


def describe_module(prompt: Prompt) -> Answer:
    """What a module does, by its fields."""
    return {"module_description": f"The module {' '.join(prompt.inputs.get('module', '').split())[:300]}"}


def _told(prompt: Prompt) -> str:
    text = " ".join(prompt.inputs.values()).lower()
    topics = [word for word in ("example", "empty", "list", "string", "number", "table") if word in text]
    return f"It speaks of: {', '.join(topics)}." if topics else ""


PROPOSING: Mapping[str, Callable[[Prompt], Answer]] = {
    "proposed_instruction": propose,
    "observations": observe,
    "summary": summarize,
    "program_description": describe_program,
    "module_description": describe_module,
}
"""Output field -> what answers it."""
