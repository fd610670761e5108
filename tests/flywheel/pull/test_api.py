"""`t0dspy.pull`: typed `dspy.Example`s that DSPy's own optimizers take."""

import copy
import datetime
import pickle
from typing import Any

import dspy
import pytest
from dspy.utils.dummies import DummyLM

import t0dspy
from support.production import Production, threads
from support.served import chat
from support.stack import wait_until
from t0dspy.errors import BundleError, SettingsError
from t0dspy.testing import ScriptedUpstream


def pull(production: Production, name: str, **options: Any) -> Any:
    options = {"tags": {"test": production.tag}, "clickhouse_url": production.clickhouse_url, **options}
    return t0dspy.pull(name, configs=production.configs, **options)


def test_values_have_the_types_of_the_signature(production: Production, scripted: ScriptedUpstream) -> None:
    """Inputs and outputs alike, of the program and of its predictors; without the program they are JSON."""
    from stories import Author  # type: ignore[import-not-found]

    scripted.script = chat(author='{"fullName": "Ada", "age": 36}')
    production.infer("library", title="Notes", written="1843-08-01")
    found, stage = pull(production, "library", augmented=True)
    for one in (found, stage):
        assert one.inputs().toDict() == {"title": "Notes", "written": datetime.date(1843, 8, 1)}
        assert one.author == Author(fullName="Ada", age=36)
    plain = next(pull(production, "library", typed=False))
    assert plain.written == "1843-08-01"
    assert plain.author == {"fullName": "Ada", "age": 36}


def test_where_an_example_came_from(production: Production) -> None:
    """It is kept beside the fields, through DSPy's copies, and a stage has the program's verdict under its own."""
    said = production.infer("tales", topic="cats")
    production.say(said, "good", True)
    production.say(said, "score", 0.5, episode=True)
    first = list(pull(production, "tales", augmented=True))
    production.say(first[1].t0dspy_origin.inference_id, "good", False)
    program, plan, write = pull(production, "tales", augmented=True)
    assert program.keys() == ["topic", "text"]
    assert (plan.keys(), plan.augmented) == (["topic", "outline", "augmented"], True)
    assert [one.t0dspy_origin.predictor for one in (program, plan, write)] == [None, "plan", "write"]
    assert {one.t0dspy_run.inference_id for one in (program, plan, write)} == {str(said.inference_id)}
    assert plan.t0dspy_verdict == {"good": False, "score": 0.5}
    assert write.t0dspy_verdict == program.t0dspy_verdict == {"good": True, "score": 0.5}
    for again in (
        program.copy(),
        program.with_inputs("topic"),
        copy.deepcopy(program),
        pickle.loads(pickle.dumps(program)),
    ):
        assert again == program
        assert again.inputs().toDict() == {"topic": "cats"}
        assert again.t0dspy_origin == program.t0dspy_origin
    assert program == dspy.Example(topic="cats", text=program.text)


def test_optimizers_take_them(production: Production) -> None:
    """BootstrapFewShot, LabeledFewShot and Evaluate see fields and nothing else."""
    for topic in ("cats", "dogs"):
        production.infer("tales", topic=topic)
    examples = list(pull(production, "tales"))
    stories: Any = __import__("stories").Stories()
    with dspy.context(lm=DummyLM([{"outline": "o", "text": "t"}] * 9)):
        compiled = dspy.BootstrapFewShot(metric=None, max_labeled_demos=2).compile(stories, trainset=examples)
        assert [len(one.demos) for one in compiled.predictors()] == [2, 2]
        score = dspy.Evaluate(devset=examples, metric=lambda gold, said: gold.text != said.text)(compiled)
    assert score.score == 100
    labeled = dspy.LabeledFewShot(k=2).compile(stories, trainset=list(pull(production, "tales", augmented=True)))
    assert {len(one.demos) for one in labeled.predictors()} == {2}


def test_reading_a_part(production: Production) -> None:
    """Nothing is left running; the summary knows that it is not whole."""
    for number in range(3):
        production.infer("question", question=str(number))
    found = pull(production, "question")
    assert next(found).question == "0"
    assert not found.summary.complete
    found.close()
    wait_until(lambda: threads() == 0)
    whole = pull(production, "question")
    assert [one.question for one in whole] == ["0", "1", "2"]
    assert (whole.summary.examples, whole.summary.complete) == (3, True)


def test_a_type_that_takes_no_such_value_any_more(production: Production, scripted: ScriptedUpstream) -> None:
    """The example is counted, not raised."""

    class Later(dspy.Signature):
        """Find the author."""

        title: int = dspy.InputField()
        written: datetime.date | None = dspy.InputField()
        author: dict[str, Any] = dspy.OutputField()

    scripted.script = chat(author='{"fullName": "Ada", "age": 36}')
    for title in ("Notes", "7"):
        production.infer("library", title=title)
    found = pull(production, "library", program=dspy.Predict(Later))
    assert [one.title for one in found] == [7]
    assert found.summary.drops["misfit"] == 1
    assert found.summary.examples == 1


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"window": "3y"}, SettingsError, "the window '3y'"),
        ({"until": "soon"}, SettingsError, "the time 'soon'"),
        ({"limit": 0}, SettingsError, "the limit 0"),
        ({"include": ["all"]}, SettingsError, "include 'all': there are pinned"),
        ({"version": "v9"}, BundleError, "no version 'v9'; there are v1, v2"),
    ],
)
def test_wrong_arguments(production: Production, options: Any, error: Any, says: str) -> None:
    """They are told before anything is asked."""
    with pytest.raises(error, match=says):
        pull(production, "tales", clickhouse_url="http://127.0.0.1:9", **options)
