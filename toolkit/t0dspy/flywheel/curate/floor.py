"""Decide which of the model's own answers count as right."""

from collections import Counter
from dataclasses import replace

from t0dspy.flywheel.curate.contradictions import votes
from t0dspy.flywheel.curate.options import CurateOptions
from t0dspy.flywheel.curate.step import Examples, StepResult
from t0dspy.flywheel.example import PulledExample


def apply_floor(examples: Examples, options: CurateOptions) -> StepResult:
    """Remove the model's answer from examples that are rated below the floor.

    An answer reaches the floor if it has at least one of the floor's metrics and every one that it has is high enough.
    A demonstration was given by a person and needs no rating. If `gold` is `required`, an example without an answer
    is dropped. Otherwise its input is kept, because inputs that went wrong are useful for testing.
    """
    kept: list[PulledExample] = []
    dropped, changed = Counter[str](), Counter[str]()
    for example in examples:
        reason = _drop_reason(example, options)
        if reason is None or (options.gold == "none" and example.outputs is None):
            kept.append(example)
        elif options.gold == "none":
            kept.append(replace(example, outputs=None))
            changed[f"answer left out: {reason}"] += 1
        else:
            dropped[reason] += 1
    return StepResult(kept, dropped, changed)


def _drop_reason(example: PulledExample, options: CurateOptions) -> str | None:
    if example.outputs is None:
        return "no answer"
    if example.demonstration or not options.floor:
        return None
    reached = {metric: vote for metric, vote in votes(example, options.floor) if metric in options.floor}
    if not reached:
        return "unrated"
    low = sorted(metric for metric, vote in reached.items() if not vote)
    return f"below the floor of {low[0]}" if low else None
