"""A retrain waits while a candidate is undecided, and candidates never pile up."""

import json
from pathlib import Path
from typing import Any

import pytest

import t0dspy
from support.looped import CAREFUL, Project
from support.scripted import skilled, stopping
from t0dspy.errors import OptimizeError
from t0dspy.flywheel.retrain.undecided import new_candidates, undecided, undecided_reason
from t0dspy.testing import ScriptedUpstream


def decided(shop: Project, **shares: float) -> None:
    """Give exactly these shares to the versions, as `t0dspy traffic` does."""
    from t0dspy.rollout.apply import Place
    from t0dspy.rollout.rollout import set_traffic
    from t0dspy.settings import load_settings

    place = Place.of(load_settings(configs=shop.configs), lambda text: None)
    set_traffic(place, "shout", shares, applying=False)


def test_who_is_undecided() -> None:
    """Every version beside the one with the largest share, the older of equals; nobody where there is one version."""
    assert undecided({"v1": 1.0}) == {}
    assert undecided({}) == {}
    assert undecided({"v2": 0.9, "v3": 0.1}) == {"v3": 0.1}
    assert undecided({"v10": 0.5, "v9": 0.5}) == {"v10": 0.5}
    assert undecided({"v2": 0.729, "v3": 0.081, "v4": 0.09, "v5": 0.1}) == {"v3": 0.081, "v4": 0.09, "v5": 0.1}
    assert undecided_reason("x", {"v1": 1.0}) == ""
    said = undecided_reason("x", {"v1": 0.8, "v2": 0.1, "v3": 0.1})
    assert said.startswith("v2 (10% of the traffic) and v3 (10% of the traffic) are undecided")
    assert "t0dspy traffic x v3=1 --apply" in said
    assert new_candidates(["v1", "v2"], {"v1": 0.8, "v2": 0.1, "v3": 0.1}) == ["v3"]


def test_no_second_candidate_while_one_is_undecided(shop: Project, task: ScriptedUpstream) -> None:
    """Other options and new data change nothing about that: no model is asked, nothing is written or left behind."""
    assert shop.retrain().export.shares == {"v1": 0.9, "v2": 0.1}
    before, asked = shop.tree(), len(task.requests)
    for options in ({}, {"seed": 4}, {"resume": True}, {"dry_run": True}):
        waiting = shop.retrain(**options)
        assert (waiting.outcome, waiting.incumbent, waiting.directory) == ("undecided", "v1", None)
        assert waiting.reason.startswith("v2 (10% of the traffic) is undecided")
    assert len(task.requests) == asked
    assert shop.tree() == before
    assert len(list((shop.directory / ".t0dspy/retrain/shout/runs").iterdir())) == 1


@pytest.mark.parametrize("shares", [{"v1": 1.0}, {"v2": 1.0}])
def test_it_goes_on_once_somebody_decides(shop: Project, shares: dict[str, float]) -> None:
    """Whether the candidate was promoted or ended."""
    assert shop.retrain().version == "v2"
    decided(shop, **shares)
    found = shop.retrain(seed=4)
    assert found.outcome in ("promoted", "kept")
    assert found.incumbent == next(iter(shares))


def test_a_winner_replaces_an_undecided_candidate(shop: Project, task: ScriptedUpstream) -> None:
    """With `replace` the new candidate takes the old one's traffic, so that there is one candidate at any time."""
    assert shop.retrain().export.shares == {"v1": 0.9, "v2": 0.1}
    task.script = skilled(0.4, careful=0.6, proposal="CAREFUL and BOLD")
    found = shop.retrain(replace=True, traffic=0.2, seed=4)
    assert (found.outcome, found.version) == ("promoted", "v3"), found.reason
    assert found.export.shares == {"v1": 0.8, "v3": 0.2}
    task.script = skilled(0.3)
    assert shop.retrain(replace=True, seed=5).outcome == "kept"
    assert shop.retrain().outcome == "undecided"


def test_a_candidate_that_comes_meanwhile_keeps_its_traffic(shop: Project) -> None:
    """Somebody exports by hand while the retrain runs: its winner is written without traffic, and says why."""

    def progress(text: str) -> None:
        if text.startswith("exporting the winner"):
            t0dspy.export(
                "shouting:shout", shop.configs, name="shout", model="m", adapter="chat", demos="system",
                state=state, traffic=0.3, verify=False,
            )  # fmt: skip

    state = altered(shop.directory)
    found = shop.retrain(progress=progress)
    assert (found.outcome, found.version) == ("promoted", "v3")
    assert found.export.shares == {"v1": 0.7, "v2": 0.3}
    assert any("v2 got traffic while this retrain ran" in note for note in found.notes)


def altered(directory: Path) -> Path:
    from t0dspy.program.load import load_program

    program: Any = load_program("shouting:shout").deepcopy()
    program.signature = program.signature.with_instructions("By hand.")
    program.save(str(directory / "by-hand.json"))
    return directory / "by-hand.json"


def test_a_run_that_was_cut_off_waits_too(shop: Project, task: ScriptedUpstream) -> None:
    """It stays resumable while a candidate of somebody else's is undecided."""
    task.script = stopping(CAREFUL, 40)
    with pytest.raises(OptimizeError):
        shop.retrain()
    t0dspy.export("shouting:shout", shop.configs, name="shout", model="m", adapter="chat", demos="system",
                  state=altered(shop.directory), traffic=0.1, verify=False)  # fmt: skip
    task.script = CAREFUL
    assert shop.retrain(resume=True).outcome == "undecided"
    decided(shop, v1=1.0)
    found = shop.retrain(resume=True)
    assert (found.resumed, found.outcome) == (True, "promoted")


def test_cron_mails_a_promotion_and_nothing_else(shop: Project, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --quiet a promotion is one line on stdout; a candidate that waits, or nothing new, is silent."""
    from t0dspy.cli import main

    def run(*more: str) -> tuple[int, str, str]:
        given = [f"--configs={shop.configs}", f"--clickhouse-url={shop.database}", "--no-verify", *more]
        monkeypatch.setattr("sys.argv", ["t0dspy", "retrain", *given])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out, said.err

    code, out, err = run("--quiet", "--canary", "0.25")
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert out.startswith("shout: v2 beats v1; 25% of the traffic, written, not serving: run `t0dspy apply`; ")
    assert run("--quiet") == (0, "", "")
    code, out, _ = run()
    assert (code, out.splitlines()[0]) == (0, "shout: kept v1; nothing was optimized")
    assert "v2 (25% of the traffic) is undecided" in out
    assert json.loads(run("--json")[1])[0]["outcome"] == "undecided"
    decided(shop, v1=1.0)
    shop.settings(min_improvement=0.9)
    assert run("--quiet") == (0, "", "")
    monkeypatch.setattr("sys.argv", ["t0dspy", "retrain", "--help"])
    with pytest.raises(SystemExit):
        main()
    shown = capsys.readouterr().out
    assert "--traffic" in shown
    assert "--canary" not in shown


def test_a_winner_that_was_written_before_a_cut_is_applied(shop: Project) -> None:
    """A kill between the export and the apply: `--apply --resume` has the gateway serve what is written already."""
    from t0dspy.cli import output
    from t0dspy.cli.retrain import _retrain_each
    from t0dspy.settings import load_settings

    won = shop.retrain()
    (won.directory / "report.json").unlink()
    settings = load_settings(configs=shop.configs, clickhouse_url=shop.database)
    applied: list[str] = []
    asked = t0dspy.RetrainOptions(resume=True, verify=False, threads=4)
    with output.progress(True) as progress:
        [(found, _)] = _retrain_each(["shout"], asked, settings, progress, lambda: applied.append)  # type: ignore[arg-type, return-value]
    assert (found.resumed, found.outcome, found.version, found.export.written) == (True, "promoted", "v2", False)
    assert applied == ["retrain shout"]
