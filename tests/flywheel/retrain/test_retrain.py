"""Retrain: a better version or the incumbent, never anything else, however it is disturbed."""

import contextlib
import json
import re
import subprocess
import sys
from typing import Any

import pytest
from filelock import FileLock

from support.looped import CAREFUL, Project, words
from support.scripted import drafting, prompts, skilled, stopping
from support.served import APPS, Served
from t0dspy.errors import MetricError, OptimizeError, RetrainError, SettingsError, T0dspyError
from t0dspy.flywheel.metrics import Metric
from t0dspy.flywheel.retrain.budget_split import least_calls
from t0dspy.gateway import Call, HttpGateway, input_messages
from t0dspy.testing import RecordedRequest, Reply, Script, ScriptedUpstream

OWN = words(90, seed=2)


def report(found: Any) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((found.directory / "report.json").read_text())
    return read


def test_a_better_challenger_is_promoted(shop: Project) -> None:
    """A new version with a small share, its scores, its lineage, and a report; then there is nothing new."""
    before = shop.tree()
    found = shop.retrain(verify=True)
    assert (found.outcome, found.version, found.incumbent) == ("promoted", "v2", "v1"), found.reason
    after = shop.tree()
    assert {name: after[name] for name in before if "/v1/" in name} == {n: b for n, b in before.items() if "/v1/" in n}
    assert "CAREFUL" in after["programs/shout/v2/system.minijinja"].decode()
    assert found.export.shares == {"v1": 0.9, "v2": 0.1}
    entry = shop.manifest()["versions"]["v2"]
    assert entry["parent"] == entry["lineage"]["incumbent"] == "v1"
    assert entry["scores"]["holdout"]["difference"] > 0.1
    assert entry["lineage"]["calls"] == found.spent.calls > 0
    assert entry["lineage"]["models"]["task"] == "openai/scripted"
    handles = json.loads(after["programs/shout/v2/lineage.json"])
    assert {"train", "validation", "holdout"} == handles.keys()
    told = report(found)
    assert told["outcome"] == "promoted"
    assert told["judgement"]["difference"]["examples"] == told["data"]["holdout"]
    page = (found.directory / "report.html").read_text()
    assert "CAREFUL" in page
    assert not re.search(r"(src|href)=|<script|url\(", page)


def test_a_winner_awaits_review(shop: Project) -> None:
    """With `review`, the winner gets no traffic, and command, report and history say how it gets some."""
    shop.settings(review=True)
    found = shop.retrain()
    assert (found.outcome, found.version) == ("promoted", "v2"), found.reason
    assert found.export.shares == {"v1": 1.0}
    assert found.review == "t0dspy traffic shout v1=0.9 v2=0.1 --apply"
    assert shop.manifest()["history"][-1]["reason"] == "export of v2, which awaits review"
    assert report(found)["review"] == found.review
    assert found.review in (found.directory / "report.html").read_text()
    waiting = shop.retrain(seed=10)
    assert (waiting.outcome, waiting.reason.partition(",")[0]) == ("undecided", "v2 awaits review")


def test_nothing_new_is_not_done_twice(shop: Project, task: ScriptedUpstream) -> None:
    """The same data, incumbent and settings cost no call; another option does."""
    shop.settings(min_improvement=0.9)
    assert shop.retrain().outcome == "kept"
    asked = len(task.requests)
    again = shop.retrain()
    assert (again.outcome, again.directory) == ("nothing to do", None)
    assert again.reason.startswith("nothing new since the run")
    assert len(task.requests) == asked
    assert shop.retrain(seed=10).outcome == "kept"


def test_another_metric_is_news(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same name, and other code behind it."""
    shop.settings(min_improvement=0.9)
    assert shop.retrain().outcome == "kept"
    assert shop.retrain().outcome == "nothing to do"
    monkeypatch.setattr(Metric, "source", "def grade(): stricter from here on")
    assert shop.retrain().outcome == "kept"


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


WORSE = skilled(0.4, careful=-0.3)
EQUAL = skilled(0.4)


@pytest.mark.parametrize(("script", "name"), [(WORSE, "worse"), (EQUAL, "equal")])
def test_the_incumbent_stays_where_nothing_is_better(
    shop: Project, task: ScriptedUpstream, script: Script, name: str
) -> None:
    """Worse and equal challengers change no file."""
    task.script = script
    before = shop.tree()
    found = shop.retrain()
    assert found.outcome == "kept"
    assert shop.tree() == before
    assert report(found)["outcome"] == "kept"


def test_a_challenger_that_is_better_by_chance_is_not_promoted(shop: Project, task: ScriptedUpstream) -> None:
    """It wins on the validation set, and the holdout finds it out."""
    sets: dict[str, set[str]] = {}

    def lucky(request: RecordedRequest) -> Reply:
        text = str(request.body["messages"])
        known = any(question in text for question in sets.get("validation", ()))
        return skilled(0.4, careful=0.6 if known else 0.0)(request)

    task.script = lucky
    plan = shop.retrain(dry_run=True)
    sets["validation"] = {str(one.inputs["question"]) for one in plan.gathered.validation}
    before = shop.tree()
    found = shop.retrain()
    assert found.optimized.better
    assert (found.judgement.decision, found.outcome) == ("keep", "kept")
    assert shop.tree() == before


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
        ({"min_holdout": 1000}, "too few examples to judge by"),
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
        with pytest.raises(SettingsError, match=f"alone take about {calls} calls"):
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


KILLED = """
import sys
sys.path.insert(0, {apps!r})
import shouting, t0dspy
t0dspy.retrain(
    "shout", t0dspy.RetrainOptions(verify=False, threads=1), configs={configs!r}, clickhouse_url={database!r},
    progress=shouting.die_at({stage!r}),
)
"""


def test_killed_at_any_stage_it_goes_on_to_the_same_result(
    shop: Project, looped: Served, task: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Configs are untouched by the kill; the resumed run asks for what is missing alone, and makes the same version."""
    whole = shop.retrain(threads=1)
    asked, version = len(task.requests), shop.manifest()["versions"]["v2"]
    stages = ["curating", "the incumbent on", "bootstrapping", "proposing", "trial 3", "v1 on the holdout", "exporting"]
    for stage in stages:
        directory = tmp_path_factory.mktemp("killed")
        other = Project(directory, looped, task)
        before = other.tree()
        task.requests.clear()
        code = KILLED.format(apps=str(APPS), configs=str(other.configs), database=other.database, stage=stage)
        done = subprocess.run([sys.executable, "-c", code], cwd=directory, capture_output=True, text=True, timeout=120)
        assert done.returncode == 9, (stage, done.stderr)
        reserved = account(other)
        assert len(reserved) == (stage in ("v1 on the holdout", "exporting")), stage
        assert other.tree() == before, stage
        found = other.retrain(resume=True, threads=1)
        assert found.resumed
        assert (found.outcome, found.version) == (whole.outcome, whole.version)
        resumed = other.manifest()["versions"]["v2"]
        assert resumed["content_hash"] == version["content_hash"], stage
        assert resumed["scores"] == version["scores"], stage
        assert [each["outcome"] for each in account(other)] == ["promote"], stage
        assert len(task.requests) <= asked + 2, stage


def account(shop: Project) -> list[dict[str, Any]]:
    """The decisions that the holdout was asked for."""
    path = shop.directory / ".t0dspy/retrain/shout/holdout.json"
    found: list[dict[str, Any]] = json.loads(path.read_text())["questions"] if path.exists() else []
    return found


def test_each_decision_spends_risk_until_the_holdout_is_used_up(
    shop: Project, task: ScriptedUpstream, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is spent is shown; an empty account asks no model, and is not an error."""
    asked = {"min_improvement": 0.9, "yearly_risk": 0.2, "yearly_decisions": 2}
    shop.settings(**asked)
    first = shop.retrain()
    assert (first.outcome, first.account.decisions, first.account.risk) == ("kept", 1, pytest.approx(0.1))
    assert "90% asked for" in first.reason or "is not better by more than" in first.reason
    assert first.account.fresh == 1
    shown = report(first)["holdout_account"]
    assert (shown["spent"], shown["left"], shown["planned"]) == (pytest.approx(0.1), pytest.approx(0.1), 2)
    page = (first.directory / "report.html").read_text()
    assert "any false promotion this year is at most 0.20" in page
    path = shop.directory / ".t0dspy/retrain/shout/holdout.json"
    assert path.stat().st_mode & 0o777 == 0o600
    second = shop.retrain(seed=10)
    assert (second.account.decisions, second.account.fresh) == (2, 0)
    assert any("only 0% of the holdout's" in note for note in second.notes)
    before = len(task.requests)
    third = shop.retrain(seed=11)
    assert third.outcome == "nothing to do"
    assert re.search(r"the holdout is used up until \d{4}-\d\d-\d\d: 2 of 2 decisions", third.reason)
    assert len(task.requests) == before
    assert [each["outcome"] for each in account(shop)] == ["keep", "keep"]
    path.write_text('{"format": 1, "questions": [{}]}')
    with pytest.raises(RetrainError, match=r"holdout\.json: damaged"):
        shop.retrain(seed=11)


def test_a_challenger_that_is_behind_on_validation_costs_no_risk(shop: Project, task: ScriptedUpstream) -> None:
    """The holdout is not asked."""
    task.script = WORSE
    shop.settings(yearly_risk=0.2)
    found = shop.retrain()
    assert found.outcome == "kept"
    assert found.account.decisions == len(account(shop)) == 0


def test_two_at_once_never(shop: Project) -> None:
    """The second one is told."""
    (shop.directory / ".t0dspy/retrain/shout").mkdir(parents=True)
    with FileLock(shop.directory / ".t0dspy/retrain/shout/lock"), pytest.raises(RetrainError, match="another retrain"):
        shop.retrain()


def test_a_run_that_began_otherwise_does_not_go_on(shop: Project, task: ScriptedUpstream) -> None:
    """With other settings a new one begins, and says so; without a cut-off run `--resume` begins one too."""
    task.script = stopping(CAREFUL, 40)
    with pytest.raises(OptimizeError):
        shop.retrain(resume=True)
    task.script = CAREFUL
    found = shop.retrain(resume=True, seed=4)
    assert (found.outcome, found.resumed) == ("promoted", False)
    assert "other settings" in found.notes[0]


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
        ({}, {"max_calls": 5}, "judging alone take"),
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
