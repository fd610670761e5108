"""Retrain: a better version or the incumbent, never anything else, however it is disturbed."""

import contextlib
import json
import re
from typing import Any

import pytest

from support.looped import CAREFUL, Project, words
from support.retraining import report
from support.scripted import drafting, prompts, skilled, stopping
from t0dspy.errors import MetricError, OptimizeError, SettingsError, T0dspyError
from t0dspy.flywheel.retrain.budget_split import least_calls
from t0dspy.gateway import Call, HttpGateway, input_messages
from t0dspy.testing import Reply, Script, ScriptedUpstream

OWN = words(90, seed=2)


def test_what_the_pull_left_out_is_told(shop: Project) -> None:
    """Calls that name their version, as those of `deploy` do, teach nothing; whoever wonders reads it here."""
    with contextlib.closing(HttpGateway(shop.served.url)) as gateway:
        for number in range(3):
            gateway.infer(Call("duo", input_messages({"question": f"pinned {number}"}, 0), variant="v1"))
    shop.settings(name="duo")
    assert shop.retrain("duo", dry_run=True).gathered.dropped["pinned by its caller"] >= 3


def test_a_dry_run_knows_the_predictors(shop: Project) -> None:
    """A stage that is none is said before anybody pays for it."""
    with pytest.raises(OptimizeError, match="no predictor 'nobody' to optimize"):
        shop.retrain(dry_run=True, stage="nobody")


def test_the_holdout_is_made_of_people_answers(shop: Project, task: ScriptedUpstream) -> None:
    """With gold required, what a model said never decides, however well it was rated."""
    found = shop.retrain(dry_run=True).gathered
    assert found.holdout
    assert all(one.demonstration for one in found.holdout)
    assert any(not one.demonstration for one in found.train)


def test_no_prompt_shows_what_is_sealed(shop: Project, task: ScriptedUpstream) -> None:
    """No answer of validation or holdout, and no question of the holdout before the judge, is in any prompt or file."""
    shop.settings(judge_model={"model": "openai/judge", "api_base": task.url})
    found = shop.retrain()
    assert found.outcome == "promoted"
    secret = {str(one.inputs["question"]) for one in (*found.gathered.validation, *found.gathered.holdout)}
    held = {str(one.inputs["question"]) for one in found.gathered.holdout}
    by_optimizer = [one for one in task.requests if one.body["model"] != "judge"]
    assert {str(one.body["model"]) for one in task.requests} == {"scripted", "judge"}
    for request, text in zip(task.requests, prompts(task), strict=True):
        assert not any(question.upper() in text for question in secret)
        if request in by_optimizer:
            assert not any(question in text for question in held)
    for name, content in shop.tree().items():
        assert not any(text in content.decode() for one in secret for text in (one, one.upper())), name


def test_too_little_is_said_and_no_error(shop: Project, task: ScriptedUpstream) -> None:
    """Each threshold stops early, in plain words, and leaves nothing behind."""
    before = shop.tree()
    for setting, why in (
        ({"min_examples": 1000}, "too few examples to learn from: .* min_examples is 1000"),
        ({"min_feedback": 1000}, "too little feedback"),
        ({"min_holdout": 1000}, "too few examples for the holdout"),
    ):
        shop.settings(**setting)
        found = shop.retrain()
        assert found.outcome == "nothing to do"
        assert re.search(why, found.reason)
    assert task.requests == []
    assert shop.tree() == before
    assert list((shop.directory / ".t0dspy/retrain/shout/runs").iterdir()) == []


def test_a_dry_run_says_what_it_would_take(shop: Project, task: ScriptedUpstream) -> None:
    """No call, no file; as many calls as a run then makes at most."""
    before = shop.tree()
    plan = shop.retrain(dry_run=True)
    assert plan.outcome == "planned"
    assert task.requests == []
    assert not (shop.directory / ".t0dspy").exists()
    assert shop.tree() == before
    found = shop.retrain()
    assert found.spent.calls <= plan.expected.calls <= 4 * found.spent.calls
    assert found.spent.cost <= plan.expected.cost


def test_data_of_ones_own(shop: Project, task: ScriptedUpstream) -> None:
    """Files of the user's join the sets of their name, and the holdout's stay there."""
    files = {"trainset": OWN[:30], "valset": OWN[30:60], "holdout": OWN[60:]}
    for name, questions in files.items():
        lines = [json.dumps({"question": one, "answer": one.upper()}) for one in questions]
        (shop.directory / f"{name}.jsonl").write_text("\n".join(lines))
    shop.settings(**{name: f"{name}.jsonl" for name in files})
    gathered = shop.retrain(dry_run=True).gathered
    asked = {part: {one.inputs["question"] for one in getattr(gathered, part)} for part in ("train", "validation")}
    assert set(OWN[:30]) <= asked["train"]
    assert set(OWN[30:60]) <= asked["validation"]
    assert set(OWN[60:]) <= {one.inputs["question"] for one in gathered.holdout}
    assert gathered.origin["a file of yours"] == 90


@pytest.mark.parametrize("more", [0, 5, 60])
def test_a_budget_is_kept(shop: Project, task: ScriptedUpstream, more: int) -> None:
    """Never above it; where nothing is left to search with, an error says how many calls the rest takes."""
    before = shop.tree()
    plan = shop.retrain(dry_run=True).expected
    calls = least_calls(plan) + more
    if not more:
        with pytest.raises(SettingsError, match=f"take about {calls} calls"):
            shop.retrain(max_calls=calls)
        assert shop.tree() == before
        return
    found = shop.retrain(max_calls=calls)
    assert found.spent.calls <= calls
    assert found.optimized.ended == "budget"
    assert report(found)["spent"]["calls"] == found.spent.calls
    assert len(task.requests) <= calls + 8


def test_a_limit_of_cost(shop: Project) -> None:
    """Needs prices, and is kept."""
    found = shop.retrain(max_cost=0.04)
    assert found.spent.cost <= 0.05
    text = (shop.directory / "t0dspy.toml").read_text()
    (shop.directory / "t0dspy.toml").write_text(re.sub("prices = .*", "", text))
    with pytest.raises(SettingsError, match="prices"):
        shop.retrain(max_cost=1.0)
    shop.settings(prompt_model="openai/writer")
    with pytest.raises(SettingsError, match="openai/writer"):
        shop.retrain(max_cost=1.0)


@pytest.mark.parametrize(
    ("setting", "script", "kind", "why"),
    [
        ({"metric": "broken"}, CAREFUL, MetricError, "no such label"),
        ({"metric": "never"}, CAREFUL, OptimizeError, "exactly 0"),
        ({}, Reply("bad key", status=401), OptimizeError, "does not answer"),
        ({}, stopping(CAREFUL, 70), OptimizeError, "no answer|does not answer|failed"),
    ],
)
def test_failures_are_errors_and_change_nothing(
    shop: Project, task: ScriptedUpstream, setting: dict[str, Any], script: Script, kind: type[Exception], why: str
) -> None:
    """A broken metric, a wrong key, a model that stops half-way: an error, never a promotion."""
    task.script = script
    shop.settings(**setting)
    before = shop.tree()
    with pytest.raises(kind, match=why):
        shop.retrain()
    assert shop.tree() == before


def test_the_command(shop: Project, task: ScriptedUpstream, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A paragraph, JSON, or with --quiet nothing; a mistake in the settings is named."""
    from t0dspy.cli import main

    def run(*more: str) -> tuple[int, str, str]:
        where = [f"--configs={shop.configs}", f"--clickhouse-url={shop.database}", "--no-verify"]
        monkeypatch.setattr("sys.argv", ["t0dspy", "retrain", *where, *more])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out, said.err

    code, out, _ = run("--dry-run")
    assert code == 0
    assert "would start from v1" in out
    assert "expected    at most" in out
    code, out, _ = run("--dry-run", "--json", "shout")
    assert json.loads(out)[0]["expected"]["calls"] > 50
    code, out, err = run()
    assert code == 0
    assert "shout: v2 beats v1" in out
    assert "written, not serving" in out
    assert run("--quiet") == (0, "", "")
    code, out, err = run("nothing")
    assert code == 1
    assert "'nothing'" in err
    shop.settings(metric="no_such_metric")
    assert run("--quiet")[0] == 1


def test_settings_are_checked_before_anything_is_asked(shop: Project, task: ScriptedUpstream) -> None:
    """What cannot work says so at once."""
    for setting, options, why in (
        ({"curate": {"flor": 1}}, {}, "flor"),
        ({}, {"canary": 2.0}, "share of 2"),
        ({}, {"max_cost": float("nan")}, "a limit of nan"),
        ({}, {"max_calls": 5}, "the promotion test take"),
        ({}, {"stage": "nowhere"}, "nowhere"),
        ({}, {"window": "30x"}, "30x"),
    ):
        shop.settings(**setting)
        with pytest.raises(T0dspyError, match=why):
            shop.retrain(**options)
    assert task.requests == []


def test_comments_reach_gepa(shop: Project, task: ScriptedUpstream) -> None:
    """GEPA reads what people wrote, and finds the better instruction."""
    found = shop.retrain(optimizer="gepa", max_calls=250)
    assert found.outcome in ("promoted", "kept")
    assert any("please shout" in text for text in prompts(task))
    assert found.optimized.score > found.optimized.incumbent_score


def test_a_metric_without_gold(shop: Project, task: ScriptedUpstream) -> None:
    """It judges by inputs alone, those that nobody answered right among them."""
    shop.settings(metric="loud", gold="none", curate={"floor": {"good": 1}})
    found = shop.retrain()
    assert found.outcome == "promoted", found.reason
    assert any(not one.demonstration for one in found.gathered.holdout)
    assert sum(found.gathered.origin.values()) > 80


def test_a_program_of_two_predictors(shop: Project, task: ScriptedUpstream) -> None:
    """Runs that people found good become demos of each predictor; the stage that is named is optimized alone."""
    task.script = drafting(skilled(0.4, careful=0.2, per_demo=0.08))
    shop.settings(name="duo", metric="graded", min_holdout=5)
    found = shop.retrain("duo", stage="write")
    assert (found.outcome, found.version) == ("promoted", "v2"), found.reason
    before, after = found.prompts["plan"]
    assert before == after
    assert found.prompts["write"][0] != found.prompts["write"][1]
    entry = shop.manifest("duo")["versions"]["v2"]
    assert (entry["served_by"], entry["lineage"]["stage"]) == ("programs", "write")
    assert entry["parent"] == "v1"
    assert {stage.predictor for one in found.gathered.train for stage in one.stages} == {"plan", "write"}
