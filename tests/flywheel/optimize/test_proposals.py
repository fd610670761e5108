"""A search in which nothing could be proposed is an error; one in which nothing was better is not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from support.looped import Project
from support.optimizing import METRIC, asker, run
from support.scripted import as_optimizer, lm_of, model, models_of, skilled
from t0dspy.errors import OptimizeError
from t0dspy.flywheel.metrics import Metric
from t0dspy.flywheel.models.budget import PATIENCE, Budget, Ledger, Stop
from t0dspy.flywheel.optimize.proposals import Proposals
from t0dspy.flywheel.optimize.search import Models
from t0dspy.testing import RecordedRequest, Reply, Script, ScriptedUpstream

OPTIMIZERS = pytest.mark.parametrize("optimizer", ["miprov2", "gepa"])

UNREADABLE: dict[str, Script] = {
    "prose": "I would rather talk about the weather.",
    "empty": "",
    "another form": '{"instruction": "Be CAREFUL."}',
    "cut off": '{"new_instruct',
}


@contextmanager
def two_models(prompt: Script, task: Script | None = None, budget: Budget | None = None) -> Iterator[Models]:
    """Models of which the prompt model answers as `prompt` says."""
    ledger = Ledger(budget=budget)
    with model(task or skilled(0.3, careful=0.4)) as one, model(prompt) as other:
        yield Models(lm_of(one, ledger), lm_of(other, ledger), ledger)


def sometimes(share: int) -> Callable[[RecordedRequest], Reply]:
    """A prompt model of whose instructions every `share`-th can be read, and all else that it is asked."""
    asked = iter(range(10**9))

    def answer(request: RecordedRequest) -> Reply:
        said = as_optimizer(request, "CAREFUL")
        proposes = "proposed_instruction" in said or "new_instruction" in said
        return Reply("no fields" if proposes and next(asked) % share else said)

    return answer


@OPTIMIZERS
@pytest.mark.parametrize("form", UNREADABLE)
def test_nothing_could_be_proposed(optimizer: Any, form: str) -> None:
    """However the prompt model's answers are unreadable, the error counts, quotes a reason, and comes early."""
    with two_models(UNREADABLE[form]) as models:
        with pytest.raises(
            OptimizeError, match=rf"{optimizer} could not propose anything: (\d+) of \1 .* failed"
        ) as why:
            run(models, optimizer=optimizer)
        assert f"({models.ledger.spent.calls:,} calls of models made)" in str(why.value)
        assert "The first failure: " in str(why.value)
        assert models.ledger.spent.calls < 100


@OPTIMIZERS
def test_a_prompt_model_that_is_down(optimizer: Any) -> None:
    """An outage of the prompt model alone is an error too."""
    with (
        two_models(Reply("overloaded", status=500)) as models,
        pytest.raises(OptimizeError, match=r"overloaded|answer"),
    ):
        run(models, optimizer=optimizer)


def test_a_budget_that_ends_hides_nothing() -> None:
    """Every proposal of GEPA so far failed, and then the budget ended."""
    with (
        two_models("prose", budget=Budget(calls=40)) as models,
        pytest.raises(OptimizeError, match="could not propose"),
    ):
        run(models, optimizer="gepa")


def test_some_proposals_failed() -> None:
    """The rest are candidates, and the report says how many failed and why."""
    with two_models(sometimes(3)) as models:
        found = run(models, optimizer="miprov2")
    assert found.better
    (note,) = found.notes
    assert "proposals of new instructions failed, such as: AdapterParseError" in note


def test_nothing_better_is_no_failure() -> None:
    """Instructions were proposed, none of them helps: a result, with a note where none became a candidate."""
    with two_models(sometimes(1), skilled(0.5)) as models:
        assert not run(models, optimizer="miprov2").better
        found = run(models, optimizer="gepa")
    assert not found.better
    assert "gepa proposed" in found.notes[0]


def test_a_perfect_incumbent_needs_no_proposal() -> None:
    """GEPA asks for none where every sample is right, and that is no failure."""
    with two_models("prose", skilled(1.0)) as models:
        found = run(models, optimizer="gepa", metric=METRIC)
    assert (found.better, found.incumbent_score) == (False, 1.0)


def test_the_single_proposal_is_a_candidate() -> None:
    """With one set of demos MIPROv2 asks for one instruction, which stock DSPy would throw away."""

    def nothing_bootstraps(example: Any, prediction: Any, trace: Any = None) -> float:
        return 0.4 * float(prediction.answer == example.answer)

    with model(skilled(0.3, careful=0.6)) as upstream:
        found = run(models_of(upstream), asker(), metric=Metric(nothing_bootstraps), max_demos=0)
    assert found.better


def test_counts() -> None:
    """Nothing asked for is no failure; ten failures without a success end a search."""
    none = Proposals("gepa")
    none.check(0)
    assert none.notes() == []
    for at in range(PATIENCE):
        none.check_patience(at)
        none.record_failure(ValueError(f"reason {at}\n" + "x" * 1000))
    with pytest.raises(Stop):
        none.check_patience(77)
    with pytest.raises(OptimizeError, match=r"10 of 10 .* \(1,234 calls .*ValueError: reason 0 x+ Check") as why:
        none.check(1234)
    assert len(str(why.value)) < 800
    none.record_success()
    none.check(1234)
    none.check_patience(1234)
    assert none.notes()[0].startswith("10 of 11 proposals")


@OPTIMIZERS
def test_the_command(optimizer: str, shop: Project, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 1 and one message, with --quiet too; nothing is written, and the next run is no `nothing new`.

    With --resume it asks again as well: the answers that could not be read are not taken from the run that failed.
    """
    from t0dspy.cli import main

    with ScriptedUpstream("prose") as writer:
        shop.settings(prompt_model={"model": "openai/writer", "api_base": writer.url, "num_retries": 0})
        before = shop.tree()
        given = [
            f"--configs={shop.configs}",
            f"--clickhouse-url={shop.database}",
            f"--optimizer={optimizer}",
            "--quiet",
        ]
        for _ in range(2):
            monkeypatch.setattr("sys.argv", ["t0dspy", "retrain", *given])
            with pytest.raises(SystemExit) as stop:
                main()
            said = capsys.readouterr()
            assert (stop.value.code, said.out, said.err.count("\n")) == (1, "", 1)
            assert f"t0dspy: {optimizer} could not propose anything" in said.err
        assert shop.tree() == before
        writer.script = lambda request: as_optimizer(request, "CAREFUL")
        found = shop.retrain(optimizer=optimizer, resume=True)
        assert (found.resumed, found.outcome in ("promoted", "kept")) == (False, True)
