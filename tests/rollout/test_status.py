"""`t0dspy traffic` shows shares, scores and live ratings."""

import json
import socket

import pytest

from support.rollout import Project
from support.tool import Run
from t0dspy.rollout import live, served


def test_json_tells_the_same(project: Project, run: Run) -> None:
    """For programs: numbers, and null for what is not known."""
    changed = json.loads(run("traffic", "question", "v2=1", "--apply", "--json", "--reason", "it is better").out)
    assert (changed["before"], changed["after"], changed["serving"]) == ({"v1": 1.0}, {"v2": 1.0}, True)
    assert changed["config_hash"] == project.status()["config_hash"]
    shown = json.loads(run("traffic", "question", "--json").out)
    assert (shown["incumbent"], shown["serving"]) == ("v2", True)
    assert [one["version"] for one in shown["versions"]] == ["v3", "v2", "v1"]
    assert shown["versions"][1] | {"age": 0} == {
        "version": "v2",
        "share": 1.0,
        "served": 1.0,
        "loaded": True,
        "scores": None,
        "age": 0,
        "created": shown["versions"][1]["created"],
        "fits": True,
        "fits_why": "",
        "awaits_review": False,
        "kept": [],
        "code_changed": "",
        "live": {},
        "fallbacks": {"calls": 0, "repeated": 0},
    }
    assert shown["history"][-1]["reason"] == "it is better"
    away = json.loads(run("traffic", "question", "--json", "--gateway-url", "http://127.0.0.1:9").out)
    assert (away["serving"], away["versions"][0]["served"], away["config_hash"]) == (None, None, None)
    assert away["versions"][0]["live"] is None
    assert away["why"].startswith("no gateway answers at http://127.0.0.1:9.")


def test_scores_are_shown(project: Project, run: Run) -> None:
    """As `retrain` records them: a metric, and what was scored on which examples, the incumbent's beside it."""
    path = project.configs / "programs/question/manifest.json"
    manifest = json.loads(path.read_text())
    holdout = {"examples": 40, "incumbent": 0.5, "challenger": 0.8125, "interval": None}
    manifest["versions"]["v3"]["scores"] = {
        "metric": "good",
        "validation": {"score": 0.9},
        "holdout": holdout,
        "f1": 0.25,
    }
    path.write_text(json.dumps(manifest))
    assert "  good  validation 0.9  holdout 0.812 (was 0.5)  f1 0.25  -     -\n" in run("traffic", "question").out


def test_live_ratings_are_shown(project: Project, run: Run) -> None:
    """People's latest word on each production inference, on it or its episode; pinned calls and tests do not count."""
    answers = [project.call("question", {"question": f"why {at}"}).json() for at in range(3)]
    pinned = project.call("question", {"question": "why"}, variant_name="v2").json()
    test = project.call("question", {"question": "why"}, tags={"t0dspy::test": "1"}).json()
    for answer, value in [(answers[0], False), (answers[0], True), (answers[1], False), (pinned, True), (test, True)]:
        body = {"metric_name": "good", "value": value, "inference_id": answer["inference_id"]}
        assert project.post("/feedback", body).status_code == 200
    score = {"metric_name": "score", "value": 0.25, "episode_id": answers[2]["episode_id"]}
    assert project.post("/feedback", score).status_code == 200
    versions = {one["version"]: one["live"] for one in json.loads(run("traffic", "question", "--json").out)["versions"]}
    assert versions == {
        "v1": {"good": {"mean": 0.5, "count": 2}, "score": {"mean": 0.25, "count": 1}},
        "v2": {},
        "v3": {},
    }
    assert "  good 0.5 (2)  score 0.25 (1)  " in run("traffic", "question").out
    gone = run("traffic", "question", "--clickhouse-url", "http://127.0.0.1:9/tensorzero")
    assert gone.code == 0
    assert "good" not in gone.out


def test_json_fallbacks_are_counted_for_their_version(project: Project, run: Run) -> None:
    """A second call that asks for JSON belongs to the version whose answer could not be parsed; tests do not count."""

    def fallbacks() -> dict[str, tuple[int, int]]:
        versions = json.loads(run("traffic", "question", "--json").out)["versions"]
        return {one["version"]: (one["fallbacks"]["calls"], one["fallbacks"]["repeated"]) for one in versions}

    before = fallbacks()
    project.call("question", {"question": "of a client without the runtime, which cannot ask again"})
    for variant in ("v1__main", "v1__main", "v1__main_json"):
        project.call("question", {"question": "why"}, variant_name=variant)
    project.call("question", {"question": "why"}, variant_name="v2__main_json", tags={"t0dspy::test": "1"})
    assert fallbacks() == {**before, "v1": (before["v1"][0] + 2, before["v1"][1] + 1)}
    out = run("traffic", "question").out
    assert f"  {before['v1'][1] + 1} of {before['v1'][0] + 2}\n" in out
    assert "asked again: calls of a predictor whose answer DSPy could not parse" in out


def test_a_clickhouse_that_hangs_is_not_waited_for(project: Project, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at the traffic waits some seconds for an answer, and then says what is not known."""
    assert served._PATIENCE <= 10
    monkeypatch.setattr(served, "_PATIENCE", 1)
    monkeypatch.setattr(live, "_PATIENCE", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/tensorzero"
        ran = run("traffic", "question", "--gateway-url", project.url, "--clickhouse-url", address)
    assert ran.code == 0
    assert ran.out.startswith("question: written; the served config is not known: ClickHouse at http://127.0.0.1:")
    assert "it did not answer in time" in ran.out
