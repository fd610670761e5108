"""Which answers count as right."""

from collections import Counter
from dataclasses import replace

from t0dspy.flywheel.curate.contradictions import votes
from t0dspy.flywheel.curate.options import CurateOptions
from t0dspy.flywheel.curate.step import Examples, Sieved
from t0dspy.flywheel.example import PulledExample


def good_enough(examples: Examples, options: CurateOptions) -> Sieved:
    """Takes from a model's own answer that is below the floor the right to be learned from.

    An answer is at the floor when it has at least one of the floor's metrics and all it has reach it. A demonstration
    is a person's and needs no rating. Where gold is `required`, an example without an answer is dropped; else its
    input stays: the cases that went wrong are the ones worth judging by.
    """
    kept: list[PulledExample] = []
    dropped, changed = Counter[str](), Counter[str]()
    for one in examples:
        reason = _why_not(one, options)
        if reason is None or (options.gold == "none" and one.outputs is None):
            kept.append(one)
        elif options.gold == "none":
            kept.append(replace(one, outputs=None))
            changed[f"answer left out: {reason}"] += 1
        else:
            dropped[reason] += 1
    return Sieved(kept, dropped, changed)


def _why_not(one: PulledExample, options: CurateOptions) -> str | None:
    if one.outputs is None:
        return "no answer"
    if one.demonstration or not options.floor:
        return None
    reached = {metric: vote for metric, vote in votes(one, options.floor) if metric in options.floor}
    if not reached:
        return "unrated"
    low = sorted(metric for metric, vote in reached.items() if not vote)
    return f"below the floor of {low[0]}" if low else None
