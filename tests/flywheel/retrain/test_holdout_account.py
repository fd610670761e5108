"""The reuse of a holdout is counted and bounded, however often it is asked."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from t0dspy.errors import RetrainError, SettingsError
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.promotion.account import YEAR, Account, Question, describe, next_risk, statement
from t0dspy.flywheel.retrain.gather import Gathered
from t0dspy.flywheel.retrain.holdout_account import FILE, holdout_refusal, read_account, reserve, settle, write_account
from t0dspy.flywheel.retrain.run_directory import Home, RunDirectory
from t0dspy.settings import ProgramSettings, load_settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
"""When the tests' first decision is made."""


def spend(times: int, yearly: float | None = 0.2, confidence: float = 0.8, planned: int = 12) -> list[float]:
    """The risks of decisions after each other."""
    risks: list[float] = []
    for decided in range(times):
        risks.append(next_risk(confidence, yearly, planned, decided, sum(risks)))
    return risks


def test_the_risk_of_a_year_is_divided_evenly() -> None:
    """Over the planned decisions; then the account is empty. No decision risks more than its own confidence says."""
    assert spend(12) == [pytest.approx(0.2 / 12)] * 12
    assert spend(15)[12:] == [0, 0, 0]
    assert spend(15, yearly=None) == [pytest.approx(0.2)] * 15
    assert spend(3, confidence=0.99, planned=2) == [pytest.approx(0.01), pytest.approx(0.01), 0]
    assert sum(spend(40, yearly=0.1, planned=40)) == pytest.approx(0.1)


def test_a_year_of_equal_challengers_keeps_its_promise() -> None:
    """Twelve decisions on a growing holdout: a false promotion is rare by the account's rule, and common without."""

    def years(risks: list[float], count: int = 300) -> float:
        rng = np.random.default_rng(3)
        hard = rng.normal(size=(count, 420))

        def scores() -> Any:
            return np.sqrt(0.7) * hard + np.sqrt(0.3) * rng.normal(size=hard.shape) < stats.norm.ppf(0.7)

        incumbent, false = scores(), np.zeros(count, bool)
        for month, risk in enumerate(risks):
            challenger, seen = scores(), slice(0, 60 + 30 * month)
            wins = (challenger[:, seen] & ~incumbent[:, seen]).sum(1)
            losses = (~challenger[:, seen] & incumbent[:, seen]).sum(1)
            promoted = stats.binom.sf(wins - 1, wins + losses, 0.5) <= risk
            false |= promoted
            incumbent[promoted] = challenger[promoted]
        return float(false.mean())

    assert years(spend(12)) <= 0.2 < 0.4 < years(spend(12, yearly=None))


def question(number: int, **changes: Any) -> Question:
    """A decision in month `number`."""
    return Question(
        **{"key": f"k{number}", "run": f"r{number}", "asked": NOW + timedelta(30 * number), "risk": 0.05} | changes
    )


def test_a_year_begins_with_its_first_decision() -> None:
    """And ends 365 days later, when the account is full again. A clock that was wrong for a while frees nothing."""
    account = Account()
    for number in range(4):
        account = account.reserve(question(number), [f"e{number}", "e"])
    assert len(account.this_year(NOW + YEAR - timedelta(seconds=1))) == 4
    assert account.this_year(NOW + YEAR) == []
    assert len(account.this_year(NOW - timedelta(9))) == 4
    later = account.reserve(question(13), [])
    assert [each.key for each in later.this_year(NOW + timedelta(400))] == ["k13"]
    assert account.fresh(["e", "e1", "new", "newer"]) == 0.5
    assert account.find("k2") is not None
    ahead = account.reserve(question(99), [])
    assert [each.key for each in ahead.this_year(NOW + timedelta(200))] == ["k0", "k1", "k2", "k3", "k99"]
    assert account.settle("k2", "keep").find("k2") == question(2, outcome="keep")


def said(account: Account, yearly: float | None, **options: Any) -> Any:
    given = {"confidence": 0.8, "planned": 12, "examples": ["e", "x"], "groups": 40, **options}
    return statement(account, NOW + timedelta(40), yearly_risk=yearly, **given)


def test_the_statement_says_what_is_spent_and_what_is_left() -> None:
    """In one line, with the bound of the year; without a limit it says how high the year's risk may be."""
    account = Account().reserve(question(0), ["e"]).reserve(question(1), ["e"])
    found = said(account, 0.2)
    assert (found.decisions, found.spent, found.left) == (2, pytest.approx(0.1), pytest.approx(0.1))
    assert (found.risk, found.confidence, found.fresh) == (pytest.approx(0.01), pytest.approx(0.99), 0.5)
    assert found.until == "2027-01-01"
    assert describe(found) == (
        "2 of 12 decisions made this year, confidence 0.99 needed, 50% of its 2 examples are fresh; 0.1000 of 0.2 "
        "spent, 0.1000 left; the chance of any false promotion this year is at most 0.20"
    )
    assert "not limited: 12 decisions may reach 100%" in describe(said(account, None))
    own = ProgramSettings("a:b")
    assert holdout_refusal(own, found) == ""
    assert "used up until 2027-01-01" in holdout_refusal(own, said(account, 0.1))
    certain = ProgramSettings("a:b", confidence=1.0)
    assert "a confidence of 1 promotes nothing" in holdout_refusal(
        certain, said(account, 0.2, confidence=1.0, groups=99)
    )
    assert "needs 7 or more" in holdout_refusal(own, said(account, 0.2, groups=3))


def task(directory: Path, **changes: Any) -> Any:
    """A retrain, as far as the account needs it."""
    own = ProgramSettings("a:b", **{"yearly_risk": 0.2, **changes})
    return SimpleNamespace(
        home=Home(directory, "n"),
        run=RunDirectory(directory / "r1"),
        program_settings=own,
        now=NOW,
        metric=SimpleNamespace(source="def grade(): ..."),
        version="v1",
    )


def test_a_decision_is_paid_for_before_it_is_made_and_once(tmp_path: Path) -> None:
    """The same question of the same run pays once; another challenger, metric or run pays again."""
    work = task(tmp_path)
    examples = [PulledExample({"q": str(number)}, None, None) for number in range(9)]
    gathered = Gathered((), (), examples, pulled=9, feedback=9)
    path = work.home.directory / FILE
    first = reserve(work, gathered, {"self": "a"})
    assert first is not None
    assert [each.outcome for each in read_account(path).questions] == ["reserved"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert reserve(work, gathered, {"self": "a"}) == first
    settle(work, first, "keep")
    assert len(read_account(path).questions) == 1
    reserve(work, gathered, {"self": "b"})
    work.metric.source = "def grade(): another"
    reserve(work, gathered, {"self": "b"})
    work.run = RunDirectory(tmp_path / "r2")
    reserve(work, gathered, {"self": "b"})
    assert [each.outcome for each in read_account(path).questions] == ["keep", "reserved", "reserved", "reserved"]
    assert [each.fresh for each in read_account(path).questions] == [1, 0, 0, 0]
    work.program_settings = ProgramSettings("a:b", yearly_decisions=4)
    assert reserve(work, gathered, {"self": "c"}) is None
    assert "0" * 9 not in path.read_text()


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        "{}",
        '{"format": 2}',
        '{"format": 1, "questions": [{"risk": 1}], "examples": []}',
        '"x"',
        "3",
        "",
        "null",
        '{"format": 1, "questions": {}, "examples": []}',
        '{"format": 1, "questions": [], "examples": "ab"}',
    ],
)
def test_a_damaged_account_is_an_error(tmp_path: Path, text: str) -> None:
    """Never an empty account, which would start the year's risk again."""
    (tmp_path / FILE).write_text(text)
    with pytest.raises(RetrainError, match=r"holdout\.json: damaged .* the year's risk starts again"):
        read_account(tmp_path / FILE)
    write_account(tmp_path / FILE, Account((question(1),), frozenset({"input:x"})))
    assert read_account(tmp_path / FILE) == Account((question(1),), frozenset({"input:x"}))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("yearly_risk = 0", "yearly_risk: is 0; write a number above 0, up to 1, or 'off'"),
        ("yearly_risk = 'none'", "yearly_risk: is 'none'"),
        ("yearly_risk = true", "yearly_risk: is True"),
        ("yearly_decisions = 0", "yearly_decisions: is 0"),
        ("score_range = [1]", "score_range: is"),
        ("score_range = [1, 0]", "score_range: is"),
        ("strict = 1", "strict: is 1; write true or false"),
    ],
)
def test_settings_of_the_account(tmp_path: Path, line: str, says: str) -> None:
    """What makes no sense is named; `off` is a choice."""
    (tmp_path / "t0dspy.toml").write_text(f'[programs.n]\nprogram = "a:b"\n{line}\n')
    with pytest.raises(SettingsError, match=says):
        load_settings(tmp_path)
    (tmp_path / "t0dspy.toml").write_text(
        '[programs.n]\nprogram = "a:b"\nyearly_risk = "off"\nyearly_decisions = 52\n'
        "score_range = [-1, 1]\nstrict = true\n"
    )
    own = load_settings(tmp_path).programs["n"]
    assert (own.yearly_risk, own.yearly_decisions, own.score_range, own.strict) == ("off", 52, (-1.0, 1.0), True)
