"""The five stages of the program, each computed from what its prompt holds."""

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

from examples.spec_to_review import sandbox
from examples.spec_to_review.offline.advice import Advice, advice
from examples.spec_to_review.offline.prompt import Prompt
from examples.spec_to_review.offline.search import Goal, found
from examples.spec_to_review.offline.wanted import Wanted, read_wanted
from examples.spec_to_review.reading import Case, arguments, called, shown, written_as_code

Answer = Mapping[str, Any]

_SIGNATURE = re.compile(r"`(\w+\((?:[a-z_]\w*(?:,\s*)?)*\))`")
_EMPTY = re.compile(r"\b(?:empty|nothing)\b", re.IGNORECASE)
_AT_ONCE = 2
"""Functions that are written in one go."""


def parse_spec(prompt: Prompt) -> Answer:
    """Signatures in backticks begin a function; what follows up to the next is about it."""
    guide, spec = advice(prompt), prompt.inputs.get("spec", "")
    marks = [one for one in _SIGNATURE.finditer(spec) if not _is_call(one.group(1))]
    starts = {called(one.group(1)): one for one in reversed(marks)}
    found = sorted(starts.values(), key=lambda one: one.start())
    ends = [*(one.start() for one in found[1:]), len(spec)]
    wanted = [_wanted(one.group(1), spec[one.end() : end], guide) for one, end in zip(found, ends, strict=False)]
    return {"functions": [one.as_json() for one in wanted]}


def _is_call(text: str) -> bool:
    return bool(re.search(r"\(\s*(?:True|False|None)?\s*\)$", text)) and not text.endswith("()")


def _wanted(signature: str, text: str, guide: Advice) -> Wanted:
    examples = [
        one for one in (shown(text) if guide.thorough else written_as_code(text)) if called(one[0]) == called(signature)
    ]
    prose = re.sub(r"(?m)^(?:\s{4}.*|\|.*|#.*)$", "", text)
    sentences = [" ".join(one.split()).strip("-* ") for one in re.split(r"(?<=[.:])\s+|\n\n|\n- ", prose)]
    about = [one for one in sentences if len(one.split()) > 2 and called(signature) + "(" not in one]
    return Wanted(signature, [one for one in about if guide.careful or not _EMPTY.search(one)], examples)


def plan(prompt: Prompt) -> Answer:
    """Everything at once, or one function at a time."""
    names = [one.name for one in read_wanted(prompt.inputs.get("functions"))]
    if not advice(prompt).divided:
        return {"sections": [{"title": "Everything", "functions": names}]}
    return {"sections": [{"title": f"The function {name}", "functions": [name]} for name in names]}


def write_code(prompt: Prompt) -> Answer:
    """Search, function by function."""
    guide = advice(prompt)
    wanted = read_wanted(prompt.inputs.get("functions"))
    return {"code": "\n\n\n".join(_written(one, guide) for one in wanted[:_AT_ONCE])}


def _written(wanted: Wanted, guide: Advice) -> str:
    guard = _guard(wanted) if guide.careful else None
    examples = _arguments(wanted)
    goal = Goal(
        parameters=tuple(wanted.parameters),
        examples=tuple(examples if guide.thorough else examples[:1]),
        requirements=" ".join(wanted.requirements).lower(),
        guard=guard,
        deep=guide.deep,
        code_seen=guide.code_seen,
    )
    lines = found(goal)
    if lines is None:
        return f"def {wanted.signature}:\n    raise NotImplementedError  # nothing that was tried fits the examples"
    return _as_code(wanted, lines, guard)


def _as_code(wanted: Wanted, lines: Sequence[str], guard: str | None) -> str:
    names = [*wanted.parameters, "", ""]
    said = [re.sub(r"\bk\b", names[1], line) if names[1] else line for line in lines]
    said = [re.sub(r"\bit\b", "result" if at else names[0], line) for at, line in enumerate(said)]
    body = [f"result = {line}" for line in said[:-1]]
    if guard is not None:
        body += [f"if not {'result' if body else names[0]}:", f"    return {guard}"]
    return "\n    ".join([f"def {wanted.signature}:", *body, f"return {said[-1]}"])


def _guard(wanted: Wanted) -> str | None:
    for text in wanted.requirements:
        if _EMPTY.search(text):
            for literal in re.findall(r"`([^`]+)`", text):
                try:
                    return repr(ast.literal_eval(literal))
                except (ValueError, SyntaxError):
                    continue
    return None


def _arguments(wanted: Wanted) -> list[Case]:
    found: list[Case] = []
    for call, result in wanted.examples:
        try:
            values = arguments(call)
            ast.literal_eval(result)
        except (ValueError, SyntaxError):
            continue
        if len(values) == len(wanted.parameters) and values:
            found.append((repr(tuple(values)), result))
    return found


def write_tests(prompt: Prompt) -> Answer:
    """The examples as assertions: the first of each function, or all."""
    guide = advice(prompt)
    wanted = read_wanted(prompt.inputs.get("functions"))
    cases = [case for one in wanted for case in (one.examples if guide.thorough else one.examples[:1])]
    return {"tests": "\n".join(f"assert {call} == {result}" for call, result in cases)}


def review_all(prompt: Prompt) -> Answer:
    """Approval; after checking, only if all examples and tests hold."""
    guide = advice(prompt)
    code, spec, tests = (prompt.inputs.get(name, "") for name in ("code", "spec", "tests"))
    if not guide.checking:
        return {"review": {"approved": bool(code.strip()), "findings": []}}
    shown_there = shown(spec) if guide.thorough else written_as_code(spec)
    cases = {**dict(written_as_code(tests)), **dict(shown_there)}
    outcome = sandbox.run(code, list(cases))
    findings = [
        f"{call} should give {cases[call]}, but gives {result if result is not None else problem}"
        for call, result, problem in zip(cases, outcome.results, outcome.problems, strict=True)
        if not sandbox.same(result, cases[call])
    ]
    missing = [f"{name} is missing" for name in _asked_for(spec) if f"def {name}(" not in code]
    return {"review": {"approved": not findings + missing, "findings": [*missing, *findings][:5]}}


def _asked_for(spec: str) -> list[str]:
    return list(dict.fromkeys(called(one) for one in _SIGNATURE.findall(spec) if not _is_call(one)))
