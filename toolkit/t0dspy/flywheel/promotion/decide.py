"""Decide the promotion test: numbers in, `promote` or `keep` and the reason out."""

import math
from collections.abc import Callable
from typing import Literal

from t0dspy.flywheel.promotion.compare import Difference
from t0dspy.flywheel.promotion.options import PromotionOptions

Decision = Literal["promote", "keep"]


def decide(difference: Difference, options: PromotionOptions) -> tuple[Decision, str]:
    """Return the decision on a difference, and its reason."""
    if not difference.examples:
        return "keep", "the holdout has no examples"
    counts = f"({difference.better} better, {difference.worse} worse)"
    lead = f"{difference.difference:+.4g} on {_number(difference)} {counts}"
    aim = f"better by more than {options.min_improvement:g}" if options.min_improvement else "better"
    needed = _percent(options.confidence, math.ceil)
    reached = f"confidence {_percent(difference.confidence, math.floor)} that it is {aim}, {needed} asked for"
    if difference.difference <= options.min_improvement or difference.confidence == 0:
        return "keep", f"the challenger is not {aim}: {lead}"
    if difference.confidence >= options.confidence:
        return "promote", f"the challenger is better: {lead}, {reached}"
    few = too_few_groups(difference.groups, options.confidence)
    return "keep", f"the challenger's lead may be chance: {lead}, {reached}" + (f"; {few}" if few else "")


def too_few_groups(groups: int, confidence: float) -> str:
    """Return why this number of groups can never reach the confidence; empty if it can.

    The highest possible confidence, if the challenger wins in every group, is 1 - 2^-groups.
    """
    if 1 - 2.0**-groups >= confidence:
        return ""
    most = f"at most {_percent(1 - 2.0**-groups, math.floor)} is possible"
    if confidence >= 1:
        return f"the groups are too few: {most} with {groups}, and no number of them reaches 100%"
    least = math.ceil(-math.log2(1 - confidence) - 1e-9)
    return f"the groups are too few: {most} with {groups}, and {_percent(confidence, math.ceil)} needs {least} or more"


def _number(difference: Difference) -> str:
    if difference.groups == difference.examples:
        return f"{difference.examples} examples"
    return f"{difference.examples} examples in {difference.groups} groups"


def _percent(confidence: float, turn: Callable[[float], int]) -> str:
    """Format a confidence rounded away from the threshold.

    Rounding never makes a confidence that is too low look sufficient, or look like 100%.
    """
    tenths = turn(round(confidence * 1000, 6))
    return f"{min(tenths, 999) / 10 if turn is math.floor else tenths / 10:g}%"
