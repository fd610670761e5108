"""The risk account of a program's holdout, in `.t0dspy/retrain/NAME/holdout.json`.

A decision is paid for before the holdout is used, so a kill never leaves a decision that cost nothing. A resumed run
with the same challenger finds its payment and does not pay twice.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from localkit.json_shape import to_dataclass
from t0dspy.errors import RetrainError
from t0dspy.flywheel.curate.settings import curate_options
from t0dspy.flywheel.promotion.account import LITTLE_FRESH, Account, Question, Statement, next_risk, statement
from t0dspy.flywheel.promotion.decide import too_few_groups
from t0dspy.flywheel.promotion.groups import groups_of
from t0dspy.flywheel.promotion.options import PromotionOptions
from t0dspy.flywheel.retrain.gather import Gathered
from t0dspy.flywheel.retrain.run_directory import write_text
from t0dspy.flywheel.retrain.task import Task
from t0dspy.flywheel.split.handles import handles
from t0dspy.model import digest
from t0dspy.settings import ProgramSettings

FORMAT = 1
FILE = "holdout.json"


@dataclass(frozen=True)
class _Stored:
    """The content of the file."""

    format: int
    questions: Sequence[Mapping[str, Any]]
    examples: Sequence[str]


def read_account(path: Path) -> Account:
    """Read the account from the file at `path`; without a file it is empty.

    Raises:
        RetrainError: the file cannot be read, or `write_account` did not write it.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(raw, dict) and raw.get("format", FORMAT) != FORMAT:
            raise ValueError(f"its format is {raw['format']!r}, and this t0dspy reads format {FORMAT}")
        stored = to_dataclass(_Stored, raw)
        return Account(tuple(_question(each) for each in stored.questions), frozenset(stored.examples))
    except FileNotFoundError:
        return Account()
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise RetrainError(
            f"{path}: damaged ({error}). It counts the decisions that used the holdout. Restore it from a backup; "
            "if you remove it, the year's risk starts again."
        ) from error


def write_account(path: Path, account: Account) -> None:
    """Replace the file at `path`, readable by its owner only; after a kill, it is the old file or the new one.

    Raises:
        RetrainError: the disk refuses the write.
    """
    questions = [{**asdict(each), "asked": each.asked.isoformat()} for each in account.questions]
    value = {"format": FORMAT, "questions": questions, "examples": sorted(account.examples)}
    write_text(path, json.dumps(value, indent=0) + "\n")


def state_account(task: Task, gathered: Gathered) -> Statement:
    """Return the current account: with this run's decision if it is paid for, or else before it."""
    account = read_account(task.home.directory / FILE)
    current = next((each for each in reversed(account.questions) if each.run == task.run.path.name), None)
    return statement(
        account,
        task.now,
        confidence=task.program_settings.confidence,
        yearly_risk=_yearly_risk(task.program_settings),
        planned=task.program_settings.yearly_decisions,
        examples=_examples(task, gathered),
        groups=len(set(_groups(task, gathered))),
        current=current,
    )


def holdout_refusal(program_settings: ProgramSettings, account: Statement) -> str:
    """Return why the holdout cannot be used for a decision; empty if it can."""
    if program_settings.confidence >= 1:
        return "a confidence of 1 promotes nothing: no number of examples gives certainty, so write one below 1"
    if account.risk <= 0:
        made = f"{account.decisions} of {account.planned} decisions were made"
        return f"the holdout is used up until {account.until}: {made}"
    few = too_few_groups(account.groups, max(program_settings.confidence, account.confidence))
    return f"{few} (user, episode)" if few else ""


def reserve(task: Task, gathered: Gathered, prompts: Mapping[str, Any]) -> Question | None:
    """Pay for a decision before the holdout is used.

    Args:
        task: the retrain.
        gathered: its sets.
        prompts: the challenger's prompts.

    Returns:
        The decision, the same as before if this run has paid for the same challenger; None if the account is empty.

    Raises:
        RetrainError: the account cannot be read or written; the holdout was not used.
    """
    path = task.home.directory / FILE
    account = read_account(path)
    key = _key(task, gathered, prompts)
    known = account.find(key)
    if known is not None:
        return known
    year = account.this_year(task.now)
    spent = sum(each.risk for each in year)
    risk = next_risk(
        task.program_settings.confidence,
        _yearly_risk(task.program_settings),
        task.program_settings.yearly_decisions,
        len(year),
        spent,
    )
    if risk <= 0:
        return None
    examples = _examples(task, gathered)
    question = Question(key, task.run.path.name, task.now, risk, fresh=account.fresh(examples))
    write_account(path, account.reserve(question, examples))
    return question


def settle(task: Task, question: Question, outcome: str) -> None:
    """Record the outcome of a decision; its risk stays spent.

    Raises:
        RetrainError: the account cannot be read or written.
    """
    path = task.home.directory / FILE
    write_account(path, read_account(path).settle(question.key, outcome))


def promotion_options(program_settings: ProgramSettings, question: Question) -> PromotionOptions:
    """Return the conditions that the challenger must meet in a decision of this risk."""
    return PromotionOptions(
        program_settings.min_improvement,
        max(program_settings.confidence, 1 - question.risk),
        strict=program_settings.strict,
        score_range=program_settings.score_range,
    )


def freshness_note(account: Statement) -> list[str]:
    """Return a note if the holdout holds few new examples."""
    if account.fresh >= LITTLE_FRESH:
        return []
    return [
        f"only {account.fresh:.0%} of the holdout's {account.examples} examples are new since earlier decisions; "
        "a holdout that does not grow finds few improvements and favors the versions that it chose before."
    ]


def _question(raw: Mapping[str, Any]) -> Question:
    question = Question(**{**raw, "asked": datetime.fromisoformat(raw["asked"])})
    if not 0 < question.risk <= 1 or question.asked.tzinfo is None:
        raise ValueError(
            f"the decision of the run {question.run!r} has the risk {question.risk!r}, asked {question.asked}"
        )
    return question


def _key(task: Task, gathered: Gathered, prompts: Mapping[str, Any]) -> str:
    examples = sorted(digest(example.to_line()) for example in gathered.holdout)
    asked = [task.run.path.name, prompts, task.metric.source, examples, task.version]
    return digest(json.dumps(asked, sort_keys=True, default=str))


def _yearly_risk(program_settings: ProgramSettings) -> float | None:
    return None if program_settings.yearly_risk == "off" else float(program_settings.yearly_risk)


def _examples(task: Task, gathered: Gathered) -> list[str]:
    ignore = curate_options(task.program_settings).ignore
    return [handles(example, ignore).keys[-1] for example in gathered.holdout]


def _groups(task: Task, gathered: Gathered) -> list[str]:
    return groups_of(gathered.holdout, curate_options(task.program_settings).user_tag)
