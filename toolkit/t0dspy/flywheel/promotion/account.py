"""The risk account of a holdout: each decision on a holdout spends a part of the year's risk.

The chance of at least one false promotion in a year is at most the sum of the decisions' risks (the union bound), so
the year's risk is divided evenly over the planned decisions. The bound does not require that the holdout stays the
same. Therefore replacing the holdout does not refill the account.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

YEAR = timedelta(days=365)
LITTLE_FRESH = 0.25
"""Below this share of new examples, a report warns."""


def next_risk(confidence: float, yearly_risk: float | None, planned: int, decided: int, spent: float) -> float:
    """Return the risk that the next decision may take; 0 if the account is empty.

    Args:
        confidence: the least confidence of any decision.
        yearly_risk: the largest sum of risks in a year; None for no limit.
        planned: how many decisions the year's risk is divided into.
        decided: how many decisions were made this year.
        spent: the sum of their risks.
    """
    if yearly_risk is None:
        return 1 - confidence
    left, decisions = yearly_risk - spent, planned - decided
    return max(0.0, min(1 - confidence, left / decisions)) if decisions > 0 else 0.0


@dataclass(frozen=True)
class Question:
    """A decision that the holdout was used for."""

    key: str
    """Equal for the same challenger, holdout and metric in the same run, which are paid for once."""
    run: str
    asked: datetime
    risk: float
    outcome: str = "reserved"
    """`reserved` until the decision, then `promote` or `keep`.

    An interrupted run leaves `reserved`, and its risk is spent.
    """
    fresh: float = 1.0
    """The share of the examples that no earlier decision used."""


@dataclass(frozen=True)
class Account:
    """All decisions of a program's holdouts, oldest first."""

    questions: Sequence[Question] = ()
    examples: frozenset[str] = frozenset()
    """The handles of all examples that decisions used."""

    def this_year(self, now: datetime) -> list[Question]:
        """Return the decisions of the account's current year, which began with the first of them.

        Decisions in the future, which a wrong clock can leave, start no year; they count in this one.
        """
        past = sorted((each for each in self.questions if each.asked <= now), key=lambda each: each.asked)
        future = [each for each in self.questions if each.asked > now]
        year: list[Question] = []
        for question in past:
            if year and question.asked >= year[0].asked + YEAR:
                year = []
            year.append(question)
        return [*(year if year and now < year[0].asked + YEAR else []), *future]

    def find(self, key: str) -> Question | None:
        """Return the decision with this key; None if it was not paid for."""
        return next((question for question in self.questions if question.key == key), None)

    def fresh(self, examples: Sequence[str]) -> float:
        """Return the share of examples that no decision used."""
        return sum(example not in self.examples for example in examples) / len(examples) if examples else 1.0

    def reserve(self, question: Question, examples: Sequence[str]) -> "Account":
        """Return the account with one more decision."""
        return Account((*self.questions, question), self.examples | set(examples))

    def settle(self, key: str, outcome: str) -> "Account":
        """Return the account with the outcome of a decision."""
        settled = (replace(each, outcome=outcome) if each.key == key else each for each in self.questions)
        return replace(self, questions=tuple(settled))


@dataclass(frozen=True)
class Statement:
    """The account as a report shows it, before or after a decision."""

    decisions: int
    """This year's, including the current one if it is paid for."""
    planned: int
    yearly_risk: float | None
    """None for no limit."""
    spent: float
    left: float | None
    risk: float
    """The risk of the current decision, or of the next one."""
    confidence: float
    """The confidence that the current decision needs."""
    fresh: float
    examples: int
    groups: int
    until: str
    """The date when the account's year ends; empty before the first decision."""
    bound: float
    """An upper bound of the chance of any false promotion this year."""


def statement(
    account: Account,
    now: datetime,
    *,
    confidence: float,
    yearly_risk: float | None,
    planned: int,
    examples: Sequence[str],
    groups: int,
    current: Question | None = None,
) -> Statement:
    """Return the account in the form that a report shows.

    Args:
        account: with the current decision, if it is paid for.
        now: the time of the decision.
        confidence: the least confidence of any decision.
        yearly_risk: the largest sum of risks in a year; None for no limit.
        planned: how many decisions the year's risk is divided into.
        examples: the handles of the holdout's examples.
        groups: how many groups they form.
        current: the decision that is paid for; None before it is.
    """
    year = account.this_year(now)
    spent = sum(question.risk for question in year)
    risk = current.risk if current else next_risk(confidence, yearly_risk, planned, len(year), spent)
    return Statement(
        decisions=len(year),
        planned=planned,
        yearly_risk=yearly_risk,
        spent=spent,
        left=None if yearly_risk is None else max(0.0, yearly_risk - spent),
        risk=risk,
        confidence=1 - risk,
        fresh=current.fresh if current else account.fresh(examples),
        examples=len(examples),
        groups=groups,
        until=(year[0].asked + YEAR).date().isoformat() if year else "",
        bound=min(1.0, planned * (1 - confidence)) if yearly_risk is None else max(yearly_risk, spent),
    )


def describe(account: Statement | Mapping[str, Any]) -> str:
    """Return the account as one line of text."""
    value = account if isinstance(account, Mapping) else vars(account)
    count = f"{value['decisions']} of {value['planned']} decisions made this year"
    fresh = f"{value['fresh']:.0%} of its {value['examples']} examples are fresh"
    needs = f"confidence {value['confidence']:.4g} needed"
    if value["yearly_risk"] is None:
        risk = f"the yearly risk is not limited: {value['planned']} decisions may reach {value['bound']:.0%}"
    else:
        parts = f"{value['spent']:.4f} of {value['yearly_risk']:g} spent, {value['left']:.4f} left"
        risk = f"{parts}; the chance of any false promotion this year is at most {value['bound']:.2f}"
    return f"{count}, {needs}, {fresh}; {risk}"
