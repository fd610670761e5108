"""Models whose true quality is known: how often they are right depends on the prompt, and on nothing else."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dspy

from support.served import asked, chat, system
from t0dspy.flywheel.models.answers import Answers
from t0dspy.flywheel.models.budget import Budget, Ledger, Price
from t0dspy.flywheel.models.counted_lm import CountedLM, counted_lm
from t0dspy.flywheel.optimize.search import Models
from t0dspy.testing import RecordedRequest, Reply, Script, ScriptedUpstream


def luck(*what: object) -> float:
    """A number from 0 to 1 that hangs on `what` alone."""
    return int(hashlib.sha256(repr(what).encode()).hexdigest()[:12], 16) / 16**12


def demos_in(request: RecordedRequest) -> int:
    """How many demos a prompt shows, as turns or in the system message."""
    return (len(request.body["messages"]) - 2) // 2 + system(request).count("<example>")


def skilled(
    base: float = 0.3, careful: float = 0.0, per_demo: float = 0.0, proposal: str = "CAREFUL"
) -> Callable[[RecordedRequest], Reply]:
    """A model that shouts a question back as often as its prompt makes it good.

    Args:
        base: how often under any prompt.
        careful: how much oftener where the instructions say CAREFUL.
        per_demo: how much oftener for each demo.
        proposal: what it writes where an optimizer asks for an instruction.
    """

    def answer(request: RecordedRequest) -> Reply:
        said = system(request)
        if "`question` (str)" in said and "`answer` (str)" in said and "question" in asked(request):
            question = asked(request)["question"]
            skill = base + (careful if "CAREFUL" in said else 0) + per_demo * demos_in(request)
            return Reply(chat(answer=question.upper() if luck(question) < skill else "no idea"), usage=(100, 10))
        return Reply(as_optimizer(request, proposal), usage=(500, 50))

    return answer


def drafting(
    finish: Callable[[RecordedRequest], Reply],
) -> Callable[[RecordedRequest], Reply]:
    """A model for a program that drafts and then answers: drafts are the question again, answers as `finish` gives."""

    def answer(request: RecordedRequest) -> Reply:
        said, given = system(request), request.body["messages"][-1]["content"]
        if "1. `draft` (str)" in said.partition("Your output fields")[2] and given.startswith("[[ ## question"):
            return Reply(chat(draft=asked(request)["question"]), usage=(100, 10))
        if given.startswith("[[ ## draft"):
            body = json.loads(json.dumps(request.body).replace("## draft ##", "## question ##"))
            body["messages"][0]["content"] = said.replace("`draft` (str)", "`question` (str)")
            return finish(RecordedRequest(request.path, body, request.headers))
        return finish(request)

    return answer


def as_optimizer(request: RecordedRequest, proposal: str) -> str:
    """The answer of a prompt model: whatever fields are asked for, in the form asked for, with `proposal`."""
    said = system(request)
    listed = said.partition("Your output fields are:")[2].partition("All interactions")[0]
    names = re.findall(r"^\d+\. `(\w+)` \(", listed, re.MULTILINE)
    fields = {name: f"words {luck(str(request.body)):.6f}" for name in names}
    if "proposed_instruction" in fields:
        fields["proposed_instruction"] = f"{proposal} {luck(str(request.body)):.6f}"
    if "new_instruction" in said:
        return json.dumps({"new_instruction": f"{proposal} {luck(str(request.body)):.6f}"})
    return json.dumps(fields) if "Outputs will be a JSON object" in said else chat(**fields)


def failing(script: Callable[[RecordedRequest], Reply], share: float, status: int = 500) -> Script:
    """`script`, but a share of the calls fails; which ones changes with every call."""
    calls = iter(range(10**9))

    def answer(request: RecordedRequest) -> Reply:
        return Reply("scripted failure", status=status) if luck("fail", next(calls)) < share else script(request)

    return answer


def stopping(script: Callable[[RecordedRequest], Reply], after: int, status: int = 500) -> Script:
    """`script`, until so many calls were answered; then nothing but failures."""
    calls = iter(range(10**9))

    def answer(request: RecordedRequest) -> Reply:
        return script(request) if next(calls) < after else Reply("gone", status=status)

    return answer


def question(name: str, count: int) -> list[dspy.Example]:
    """Examples with gold."""
    return [_example(f"{name} question {at}") for at in range(count)]


def _example(text: str) -> dspy.Example:
    example: dspy.Example = dspy.Example(question=text, answer=text.upper()).with_inputs("question")
    return example


def lm_of(upstream: ScriptedUpstream, ledger: Ledger, answers: Answers | None = None, retries: int = 0) -> CountedLM:
    """A counted LM that the scripted upstream answers."""
    options: dict[str, Any] = {"api_base": upstream.url, "api_key": "none", "num_retries": retries}
    return counted_lm({"model": "openai/scripted", **options}, ledger, answers or Answers())


def models_of(upstream: ScriptedUpstream, budget: Budget | None = None, answers: Answers | None = None) -> Models:
    """Task and prompt model of one upstream."""
    ledger = Ledger({"openai/scripted": Price(1.0, 10.0)}, budget)
    lm = lm_of(upstream, ledger, answers)
    return Models(lm, lm, ledger)


@contextmanager
def model(script: Script) -> Iterator[ScriptedUpstream]:
    """An upstream with `script`."""
    with ScriptedUpstream(script) as upstream:
        yield upstream


def prompts(upstream: ScriptedUpstream) -> list[str]:
    """Everything that was sent, one text a request."""
    return ["\n".join(str(one["content"]) for one in request.body["messages"]) for request in upstream.requests]
