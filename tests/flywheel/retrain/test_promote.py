"""Retrain promotes a better challenger and keeps the incumbent otherwise."""

import json
import re
from typing import Any

import pytest

from support.looped import Project
from support.retraining import account, report
from support.scripted import skilled
from t0dspy.errors import RetrainError
from t0dspy.testing import RecordedRequest, Reply, Script, ScriptedUpstream


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
