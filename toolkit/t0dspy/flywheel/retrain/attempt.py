"""One attempt to beat the incumbent: gather the examples, optimize, run the promotion test, export the winner."""

from dataclasses import replace

import dspy

from t0dspy.flywheel.curate.settings import curate_options
from t0dspy.flywheel.models.answers import Answers
from t0dspy.flywheel.models.budget import Ledger
from t0dspy.flywheel.models.counted_lm import CountedLM, counted_lm
from t0dspy.flywheel.optimize.candidates import prompts_of, stage_index
from t0dspy.flywheel.optimize.optimize import Optimized, optimize
from t0dspy.flywheel.optimize.search import Data, Models
from t0dspy.flywheel.promotion.contest import measure_agreement, run_contest
from t0dspy.flywheel.promotion.groups import groups_of
from t0dspy.flywheel.retrain.budget_split import budgets, expected_of, optimize_options
from t0dspy.flywheel.retrain.data import data_of, gather_for, pull_for
from t0dspy.flywheel.retrain.estimate import Expected
from t0dspy.flywheel.retrain.gather import Gathered
from t0dspy.flywheel.retrain.holdout_account import (
    freshness_note,
    holdout_refusal,
    promotion_options,
    reserve,
    settle,
    state_account,
)
from t0dspy.flywheel.retrain.origins import demo_origins
from t0dspy.flywheel.retrain.promote import check_exportable, promote
from t0dspy.flywheel.retrain.results import Retrained
from t0dspy.flywheel.retrain.task import (
    Task,
    form_notes,
    model_name,
    model_notes,
    seen,
)
from t0dspy.program.of_version import runnable_version
from t0dspy.settings import ProgramSettings


def start_result(task: Task, gathered: Gathered, window: tuple[str, str]) -> Retrained:
    """Return the result of a run that has done nothing yet."""
    return Retrained(
        name=task.name,
        outcome="nothing to do",
        reason="",
        incumbent=task.version,
        form=task.form,
        window=window,
        gathered=gathered,
        models={role: model_name(model) for role, model in task.model_settings.items()},
        metric=task.metric.name,
        run=task.run.path.name,
        directory=None if task.options.dry_run else task.run.path,
        notes=[*form_notes(task), *model_notes(task), *gathered.notes],
    )


def attempt(task: Task) -> Retrained:
    """Try to beat the incumbent, and return what was done; it ends early if there is nothing to do."""
    pulled, window = pull_for(task)
    gathered = gather_for(task, pulled)
    result = start_result(task, gathered, window)
    incumbent = runnable_version(task.live, task.exported, task.version)
    missing = too_little(gathered, task.program_settings) or _nothing_new(task, gathered)
    if missing:
        return replace(result, reason=missing)
    result = replace(result, account=state_account(task, gathered))
    closed = holdout_refusal(task.program_settings, result.account) if result.account else ""
    if closed:
        return replace(result, reason=closed)
    stage_index(incumbent, task.options.stage)
    check_exportable(task, incumbent)
    data, holdout = data_of(task, gathered, incumbent)
    plan = expected_of(task, gathered, incumbent)
    if task.options.dry_run:
        return replace(result, outcome="planned", reason=_dry_run(task, plan), expected=plan)
    with Answers(task.run.path / "answers.jsonl") as answers:
        return _optimize(task, replace(result, expected=plan), incumbent, data, holdout, plan, answers)


def too_little(gathered: Gathered, program_settings: ProgramSettings) -> str:
    """Return why there are too few examples to learn from or to test on; empty if there are enough."""
    learn = len(gathered.train) + len(gathered.validation)
    if gathered.feedback < program_settings.min_feedback:
        minimum = program_settings.min_feedback
        return f"too little feedback: {gathered.feedback} examples have some, and min_feedback is {minimum}"
    if learn < program_settings.min_examples or not gathered.train or not gathered.validation:
        parts = f"{len(gathered.train)} to train and {len(gathered.validation)} to validate"
        return f"too few examples to learn from: {parts}, and min_examples is {program_settings.min_examples}"
    if len(gathered.holdout) < max(1, program_settings.min_holdout):
        minimum = program_settings.min_holdout
        return f"too few examples for the holdout: {len(gathered.holdout)}, and min_holdout is {minimum}"
    return ""


def _nothing_new(task: Task, gathered: Gathered) -> str:
    last = task.home.last()
    if last and last.run != task.run.path.name and last.seen == seen(task, gathered)["seen"]:
        same = "the same examples, feedback, incumbent, metric and settings"
        return f"nothing new since the run {last.run}: {same}. Another --seed searches once more"
    return ""


def _dry_run(task: Task, plan: Expected) -> str:
    """Check the budgets, and return the reason of a dry run."""
    budgets(task, plan)
    return "nothing was optimized or written"


def _optimize(
    task: Task,
    result: Retrained,
    incumbent: dspy.Module,
    data: Data,
    holdout: list[dspy.Example],
    plan: Expected,
    answers: Answers,
) -> Retrained:
    for_optimizer, whole = budgets(task, plan)
    ledger = Ledger(task.prices, for_optimizer)
    task_model, prompt_model = (counted_lm(task.model_settings[role], ledger, answers) for role in ("task", "prompt"))
    optimized = optimize(
        incumbent,
        data,
        task.metric,
        Models(task_model, prompt_model, ledger),
        task.adapter,
        optimize_options(task),
        progress=task.progress,
        log=task.log,
    )
    result = _with_optimized(task, result, incumbent, optimized, data)
    result = replace(result, spent=ledger.spent)
    ledger.start_part(whole)
    if not optimized.better:
        score = f"{optimized.incumbent_score:.3f} on the validation set, best of {len(optimized.trials)} candidates"
        return replace(result, reason=f"no candidate was better than the incumbent: {score}")
    judge = counted_lm(task.model_settings["judge"], ledger, answers)
    return _test(task, result, incumbent, optimized, [*data.train, *data.validation], holdout, judge)


def _with_optimized(
    task: Task, result: Retrained, incumbent: dspy.Module, optimized: Optimized, data: Data
) -> Retrained:
    """Return the result with the prompts of both programs and the origin of each new demo."""
    before, after = prompts_of(incumbent), prompts_of(optimized.program)
    user_tag = curate_options(task.program_settings).user_tag
    return replace(
        result,
        outcome="kept",
        optimized=optimized,
        prompts={path: (before[path], after[path]) for path in before},
        demos=demo_origins(incumbent, optimized.program, result.gathered.train, data.sources, user_tag),
        notes=[*result.notes, *optimized.notes],
    )


def _test(
    task: Task,
    result: Retrained,
    incumbent: dspy.Module,
    optimized: Optimized,
    seen_examples: list[dspy.Example],
    holdout: list[dspy.Example],
    lm: CountedLM,
) -> Retrained:
    """Pay for a decision on the holdout, run the promotion test, and export the challenger if it is better."""
    question = reserve(task, result.gathered, prompts_of(optimized.program))
    if question is None:
        return replace(result, reason="the holdout was used up by another decision of this run")
    account = state_account(task, result.gathered)
    result = replace(result, account=account, notes=[*result.notes, *freshness_note(account)])
    contest = run_contest(
        incumbent,
        optimized.program,
        holdout,
        task.metric,
        lm,
        task.adapter,
        promotion_options(task.program_settings, question),
        tags=[example.tags for example in result.gathered.holdout],
        groups=groups_of(result.gathered.holdout, curate_options(task.program_settings).user_tag),
        version=task.version,
        threads=task.options.threads,
        progress=task.progress,
        log=task.log,
    )
    agreement = measure_agreement(task.metric, [*seen_examples, *holdout], lm)
    result = replace(result, agreement=agreement, spent=lm.ledger.spent)
    if contest is None:
        return replace(result, reason="the budget ended before the promotion test had used the whole holdout")
    settle(task, question, contest.result.decision)
    pairs = [(old.score, new.score) for old, new in zip(contest.incumbent, contest.challenger, strict=True)]
    result = replace(result, judgement=contest.result, reason=contest.result.reason, pairs=pairs)
    return result if contest.result.decision == "keep" else promote(task, result, optimized)
