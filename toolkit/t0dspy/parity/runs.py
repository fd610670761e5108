"""Run a program against a scripted provider, and compare two such runs."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dspy

from localkit.scripted_upstream import RecordedRequest, ScriptedUpstream
from t0dspy.parity.outcome import Outcome, raised, returned
from t0dspy.parity.recordings import Recordings, replayed
from t0dspy.parity.redirect import Redirect, redirected
from t0dspy.parity.scripted import Questions, Script, tools_of

CALLS = 200
"""The number of LM calls after which a run is stopped: a program may retry forever on an answer that never changes."""

Inputs = Mapping[str, Any]


class TooManyCalls(BaseException):
    """A run made more LM calls than the proof allows; programs that retry catch `Exception`."""


class Side:
    """How copies of a program are run: plainly, or deployed."""

    in_runs = False
    """Whether every call of an LM must be part of a deployed run."""

    def prepare(self, program: dspy.Module) -> dspy.Module:
        """Change the copy `program` in place, and return it."""
        return program

    def settings(self) -> dict[str, Any]:
        """Return the changes of DSPy's settings for a run."""
        return {}


class Plain(Side):
    """Runs copies as they are, with the LMs of a version where none is configured."""

    def __init__(self, defaults: Mapping[str, dspy.LM] | None = None) -> None:
        """Take the LMs by path of the predictor."""
        self._defaults = defaults or {}

    def prepare(self, program: dspy.Module) -> dspy.Module:
        """Give predictors their LMs."""
        if dspy.settings.lm is None:
            for path, predictor in program.named_predictors():
                predictor.lm = predictor.lm or self._defaults.get(path)
        return program

    def settings(self) -> dict[str, Any]:
        """Return an LM for code outside of predictors, if none is configured."""
        if dspy.settings.lm is not None:
            return {}
        return {"lm": next(iter(self._defaults.values()), None) or dspy.LM("openai/recorded")}


@dataclass(frozen=True)
class Ran:
    """What a run sent and how it ended."""

    requests: tuple[str, ...]
    """Path and body of each request, in the order of arrival."""
    outcome: Outcome
    concurrent: bool
    """Whether several threads or tasks sent requests, so that their order may vary."""
    answers: tuple[str, ...] = ()
    """Why each answer ended, and its tokens, as DSPy was told."""
    unprovable: str | None = None
    """Why the run says nothing about the program."""


class Bench:
    """Runs one program on a scripted provider: plainly and deployed."""

    def __init__(self, program: dspy.Module, upstream: ScriptedUpstream, redirect: Redirect) -> None:
        self.program, self.upstream, self.redirect = program, upstream, redirect
        self.questions = Questions(tools_of(program))
        self.recordings = Recordings()
        redirect.on_call = self._note_call
        self._calls = 0

    @property
    def upstream_url(self) -> str:
        """Return the address of the scripted provider, without a path."""
        return self.redirect.url

    def run(self, script: Script, inputs: Inputs, side: Side) -> Ran:
        """Run a fresh copy of the program, with the answers of `script`."""
        program = side.prepare(self.program.deepcopy())
        self.redirect.in_runs = side.in_runs
        self.upstream.script = script
        self.upstream.requests.clear()
        self.redirect.callers.clear()
        self.redirect.refused.clear()
        self.redirect.answers.clear()
        self.recordings.begin()
        self._calls = 0
        callbacks = [*(dspy.settings.callbacks or []), self.questions]
        with replayed(self.recordings), dspy.context(callbacks=callbacks, **side.settings()):
            outcome, unprovable = self._call(program, inputs)
        refused = self.redirect.refused[0] if self.redirect.refused else None
        requests = tuple(request_text(request) for request in self.upstream.requests)
        answers = tuple(sorted(self.redirect.answers))
        return Ran(requests, outcome, len(self.redirect.callers) > 1, answers, unprovable or refused)

    def _call(self, program: dspy.Module, inputs: Inputs) -> tuple[Outcome, str | None]:
        try:
            return returned(call_program(program, inputs)), None
        except TooManyCalls:
            return Outcome("too many calls"), f"it makes more than {CALLS} LM calls in a run"
        except Exception as error:
            return raised(error), None

    def _note_call(self) -> None:
        self.recordings.note_lm_call()
        self._calls += 1
        if self._calls > CALLS:
            raise TooManyCalls


@contextmanager
def bench(program: dspy.Module) -> Iterator[Bench]:
    """Provide a scripted provider for runs of `program`."""
    with ScriptedUpstream() as upstream, redirected(upstream.url.removesuffix("/v1")) as redirect, quiet_dspy():
        yield Bench(program, upstream, redirect)


def call_program(program: dspy.Module, inputs: Inputs) -> Any:
    """Call `program` as users do: `program(...)`, or `await program.acall(...)` if it has no `forward`."""
    if hasattr(program, "forward") or not hasattr(program, "aforward"):
        return program(**inputs)
    return asyncio.run(program.acall(**inputs))


def request_text(request: RecordedRequest) -> str:
    """Return path and body as text, exactly but for what means the same.

    `stream: false` means the same as no `stream`, and the order of keys only matters in schemas of answers and tools.
    """
    body = {key: value for key, value in request.body.items() if not (key == "stream" and value is False)}
    ordered = {key: body[key] for key in ("response_format", "tools") if key in body}
    texts = [json.dumps(body, sort_keys=True, ensure_ascii=False), json.dumps(ordered, ensure_ascii=False)]
    return "\n".join([request.path, *texts])


def same_requests(first: Ran, second: Ran) -> bool:
    """Return whether both runs sent the same requests, in the same order unless calls were concurrent."""
    if first.requests == second.requests:
        return True
    concurrent = first.concurrent or second.concurrent
    return concurrent and Counter(first.requests) == Counter(second.requests)


def same(first: Ran, second: Ran) -> bool:
    """Return whether both runs sent the same, were answered the same and ended the same."""
    return (
        same_requests(first, second) and first.answers == second.answers and first.outcome.text == second.outcome.text
    )


def is_racy(run: Ran) -> bool:
    """Return whether chance decides which requests a run sends: a failure stops the other calls of its moment."""
    return run.concurrent and run.outcome.failed


def sends_part_of(served: Ran, plain: Ran) -> bool:
    """Return whether all that `served` sent is what `plain` sent too, up to where `served` stopped."""
    if served.requests == plain.requests[: len(served.requests)]:
        return True
    concurrent = served.concurrent or plain.concurrent
    return concurrent and not Counter(served.requests) - Counter(plain.requests)


@contextmanager
def quiet_dspy() -> Iterator[None]:
    """Keep DSPy's warnings about inputs and answers off the log, because scripted ones are bad on purpose."""
    logger = logging.getLogger("dspy")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
