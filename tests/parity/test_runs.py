"""Runs of whole programs on a scripted provider: what is compared, what is replayed, what cannot be proven."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import dspy
import pytest

from localkit.scripted_upstream import RecordedRequest, Reply
from t0dspy.errors import RunError
from t0dspy.parity.run_equality import compare_runs
from t0dspy.parity.run_report import RunReport, explain_runs
from t0dspy.parity.runs import Plain, Side, bench
from t0dspy.parity.scripted import Script
from t0dspy.parity.scripts import KINDS, Kind

INPUTS = [{"question": "Why is the sea salty?"}]


class Sea(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.sort = dspy.Predict("question -> topic: Literal['sea', 'land'], depth: float")
        self.answer = dspy.ChainOfThought("question, depth: float -> answers: list[str]")

    def forward(self, question: str) -> dspy.Prediction:
        depth = self.sort(question=question).depth
        return self.answer(question=question, depth=depth)


class Changed(Side):
    """A second plain run, of a program that was changed, stands for a served one."""

    def __init__(self, change: Callable[[Any], None] = lambda program: None) -> None:
        self.change = change

    def prepare(self, program: dspy.Module) -> dspy.Module:
        self.change(program)
        return program


def runs(
    program: dspy.Module, change: Callable[[Any], None] = lambda program: None, kinds: Sequence[Kind] = KINDS
) -> RunReport:
    with bench(program) as both:
        return compare_runs(both, Plain(), Changed(change), INPUTS, kinds)


@pytest.fixture(autouse=True)
def _an_lm() -> Any:
    with dspy.context(lm=dspy.LM("openai/gpt-4o-mini", temperature=0.3)):
        yield


def test_a_program_equals_itself_for_every_kind_of_answer() -> None:
    """Every kind goes to all stages and to the second stage alone."""
    report = runs(Sea())
    assert report.equal, explain_runs(report, "sea")
    assert not report.not_provable
    assert report.runs == 2 * len(KINDS) - 1
    assert report.requests > 80


@pytest.mark.parametrize(
    "change",
    [
        lambda program: program.sort.demos.append(dspy.Example(question="1", topic="sea", depth=1.0)),
        lambda program: vars(program.sort).update(config={"temperature": 0.4}),
        lambda program: vars(program.sort).update(lm=dspy.LM("openai/gpt-4o")),
        lambda program: vars(program.sort).update(lm=dspy.LM("openai/gpt-4o-mini", api_base="http://far.example/v1")),
        lambda program: vars(program.sort).update(signature=program.sort.signature.with_instructions("Guess.")),
    ],
    ids=["a demo", "a temperature", "another LM", "another address", "the instructions"],
)
def test_a_change_of_a_request_is_found(change: Callable[[Any], None]) -> None:
    """The report has the request that differs, with the inputs and the kind of answers."""
    report = runs(Sea(), change)
    assert len(report.mismatches) == report.runs
    assert explain_runs(report, "sea v1").startswith("sea v1: 31 of 31 runs differ from DSPy's.")
    assert report.mismatches[0].detail.startswith("--- DSPy directly\n+++ served\n")


def test_a_change_of_the_outcome_is_found() -> None:
    """Equal requests are not enough: the program must return the same."""

    class Loud(Sea):
        loud = ""

        def forward(self, question: str) -> dspy.Prediction:
            prediction = super().forward(question)
            return dspy.Prediction(answers=f"{prediction.answers}{self.loud}")

    report = runs(Loud(), lambda program: vars(program).update(loud="!"))
    assert {mismatch.part for mismatch in report.mismatches} == {"outcome"}


def test_a_named_error_before_anything_is_sent_is_a_refusal() -> None:
    """A served program that stops with t0dspy's own error is no silent difference, and no proof either."""

    def refuse(program: Any) -> None:
        def forward(**inputs: Any) -> Any:
            raise RunError("answer: this prompt was not exported")

        program.answer.forward = forward

    report = runs(Sea(), refuse)
    assert not report.equal
    assert not report.mismatches
    assert set(report.refusals) == {"answer: this prompt was not exported"}
    assert "cannot be served: answer: this prompt was not exported" in explain_runs(report, "sea v1")


def test_tools_and_retrievers_run_once() -> None:
    """The second run of a pair, and every later run with the same arguments, gets the recorded results."""
    searched: list[str] = []
    asked: list[str] = []

    def search(query: str) -> str:
        """Search the archive."""
        searched.append(query)
        return f"{len(searched)} hits"

    class Agent(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.retrieve = dspy.Retrieve(k=2)
            self.act = dspy.ReAct("context: list[str], question -> answer", tools=[search], max_iters=3)

        def forward(self, question: str) -> dspy.Prediction:
            return self.act(context=self.retrieve(question).passages, question=question)

    def rm(query: str, k: int) -> list[Any]:
        asked.append(query)
        return [dspy.Example(long_text=f"{len(asked)}.{number}") for number in range(k)]

    with dspy.context(rm=rm):
        report = runs(Agent())
    assert report.equal, explain_runs(report, "agent")
    assert len(asked) == 1
    assert searched
    assert len(searched) == len(set(searched))


def test_a_tool_that_calls_an_lm_runs_every_time() -> None:
    """Its requests belong to the program's."""
    summarize = dspy.Predict("text -> summary")

    def look(text: str) -> str:
        """Summarize a text."""
        return str(summarize(text=text).summary)

    class Agent(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = dspy.ReAct("question -> answer", tools=[look], max_iters=3)

        def forward(self, question: str) -> dspy.Prediction:
            return self.act(question=question)

    report = runs(Agent())
    assert report.equal, explain_runs(report, "agent")


def test_concurrent_calls_may_come_in_any_order() -> None:
    """The requests of `dspy.Parallel` are compared as a multiset."""

    class Many(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ask = dspy.Predict("question -> answer")

        def forward(self, question: str) -> list[Any]:
            pairs = [(self.ask, {"question": f"{question} {number}"}) for number in range(8)]
            return list(dspy.Parallel(num_threads=4, disable_progress_bar=True, max_errors=100)(pairs))

    report = runs(Many(), kinds=("good", "prose then JSON"))
    assert report.equal, explain_runs(report, "many")
    assert not report.not_provable


def test_what_differs_between_two_plain_runs_is_not_provable() -> None:
    """A counter in the prompt is nobody's fault, and nobody's proof."""
    numbers = itertools.count()

    class Counting(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ask = dspy.Predict("question -> answer")

        def forward(self, question: str) -> dspy.Prediction:
            return self.ask(question=f"{question} {next(numbers)}")

    report = runs(Counting())
    assert report.equal
    assert report.not_provable == {"two plain runs differ": len(KINDS)}


def test_a_program_that_retries_forever_is_stopped() -> None:
    """No kind of answer may hang the proof."""

    class Stubborn(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ask = dspy.Predict("question -> answer")

        def forward(self, question: str) -> dspy.Prediction:
            while True:
                try:
                    return self.ask(question=question)
                except Exception:
                    continue

    report = runs(Stubborn(), kinds=("good", "401"))
    assert report.equal
    assert report.not_provable == {"it makes more than 200 LM calls in a run": 1}


def test_an_lm_with_an_engine_of_its_own_is_not_provable() -> None:
    """Nothing may reach a provider, even if the program catches the error."""

    class Own:
        def complete(self, request: Any) -> Any:
            raise AssertionError("called")

    class Catching(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ask = dspy.Predict("question -> answer")

        def forward(self, question: str) -> Any:
            try:
                with dspy.context(lm=dspy.LM("own/model", engine=Own())):
                    return self.ask(question=question)
            except Exception:
                return None

    report = runs(Catching(), kinds=("good",))
    assert report.not_provable == {"LM own/model has an engine of its own": 1}


@pytest.mark.parametrize("adapter", [dspy.ChatAdapter, dspy.JSONAdapter, dspy.XMLAdapter])
def test_good_answers_are_parsed_and_others_end_as_named(adapter: type[dspy.Adapter]) -> None:
    """The kinds do in DSPy what their names say."""
    program = dspy.Predict("question -> topic: Literal['sea', 'land'], depth: float, parts: list[dict[str, int]]")

    def outcome(kind: Any) -> str:
        with dspy.context(adapter=adapter()), bench(program) as runs:
            return runs.run(Script(runs.questions, kind), INPUTS[0], Plain()).outcome.text

    for kind in ("good", "prose then JSON", "null then JSON"):
        parsed = adapter is not dspy.JSONAdapter or kind == "good"
        assert outcome(kind).startswith("Prediction(" if parsed else "AdapterParseError"), kind
    assert outcome("prose twice").startswith("AdapterParseError")
    assert outcome("401").startswith("LMAuthError")
    assert outcome("context too long").startswith("ContextWindowExceededError")


def test_answers_depend_on_the_request_alone() -> None:
    """Two servers give the same answers to the same requests."""
    with bench(Sea()) as runs:
        script = Script(runs.questions, "good")
        runs.run(script, INPUTS[0], Plain())
        requests = list(runs.upstream.requests)
    assert [script(request) for request in requests] == [script(request) for request in reversed(requests)][::-1]
    assert isinstance(script(RecordedRequest("/", {"messages": []}, {})), Reply)
