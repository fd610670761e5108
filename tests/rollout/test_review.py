"""Versions that a retrain exported for a person's decision."""

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from support.rollout import Project
from support.served import export
from t0dspy.artifact.manifest import Change, Manifest, parse_manifest, review_reason
from t0dspy.rollout.history import awaiting_review, incumbents

Run = Callable[..., Any]

SHARES = {"v1": 1.0}


def change(reason: str, after: dict[str, float] = SHARES) -> Change:
    return Change("2026-01-01T00:00:00Z", reason, SHARES, after)


@given(st.lists(st.sampled_from(["review v2", "review v3", "traffic", "rollback"]), max_size=8))
def test_the_next_change_of_traffic_is_the_decision(reasons: list[str]) -> None:
    """Whatever happened before, only what follows the last decision awaits review; incumbents stay as they are."""
    history = [
        change(review_reason(reason.removeprefix("review ")) if reason.startswith("review") else reason)
        for reason in reasons
    ]
    manifest = Manifest("p", None, {}, versions=dict.fromkeys(("v1", "v2", "v3")), history=history)  # type: ignore[arg-type]
    undecided: list[str] = []
    for reason in reasons:
        undecided = [*undecided, reason.removeprefix("review ")] if reason.startswith("review") else []
    assert awaiting_review(manifest) == undecided
    assert incumbents(history, SHARES) == ["v1"]


def test_a_version_awaits_review_until_the_shares_are_confirmed(project: Project, run: Run) -> None:
    """The table, JSON and history say that it waits; the same shares given again are recorded as the decision."""
    export(project.configs, "stories:question", instructions="REVIEW me.", lineage={"review": True})
    path = project.configs / "programs/question/manifest.json"
    version = parse_manifest(path.read_text(), str(path)).newest
    shown = run("traffic", "question").out
    (row,) = [line for line in shown.splitlines() if line.split()[:1] == [version]]
    assert "awaits review" in row
    assert f"export of {version}, which awaits review" in shown
    confirmed = run("traffic", "question", "v1=1")
    assert confirmed.code == 0
    assert f"{version} gets no traffic; the history records that decision." in confirmed.err
    assert "awaits review" not in run("traffic", "question").out.splitlines()[2]
    assert not awaiting_review(parse_manifest(path.read_text(), str(path)))
    before = path.read_bytes()
    run("traffic", "question", "v1=1")
    assert path.read_bytes() == before
