"""The judge keeps its word: a challenger that is no better is promoted no more often than the stated risk."""

import math
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator
from scipy import stats

from t0dspy.errors import SettingsError
from t0dspy.flywheel.judge import Difference, JudgeOptions, compare, decide, judge
from t0dspy.flywheel.resampling import confidence_above

SEEDS = int(os.environ.get("T0DSPY_TEST_JUDGE_SEEDS", "500"))
FAST = JudgeOptions(resamples=499)

Pairs = Callable[[Generator, int, float], tuple[Any, Any]]
"""A generator of random numbers, how many examples, and by how much the challenger is truly better."""


def _binary(rng: Generator, count: int, better: float) -> tuple[Any, Any]:
    return rng.random(count) < 0.6, rng.random(count) < 0.6 + better


def _hard_and_easy(rng: Generator, count: int, better: float) -> tuple[Any, Any]:
    """Right or wrong, mostly together: what is hard for one is hard for the other."""
    chance = rng.beta(0.3, 0.3, count) * (1 - better)
    return rng.random(count) < chance, rng.random(count) < chance + better


def _continuous(rng: Generator, count: int, better: float) -> tuple[Any, Any]:
    return rng.beta(2, 1, count), rng.beta(2, 1, count) + better


def _mostly_tied(rng: Generator, count: int, better: float) -> tuple[Any, Any]:
    same = rng.random(count)
    return same, same + np.where(rng.random(count) < 0.95, 0, rng.choice([-0.5, 0.5], count)) + better


def _skewed(rng: Generator, count: int, better: float) -> tuple[Any, Any]:
    """Many small losses and a few large gains, which cancel out."""
    return rng.random(count), rng.random(count) + rng.exponential(1, count) - 1 + better


def _skewed_against(rng: Generator, count: int, better: float) -> tuple[Any, Any]:
    """Many small gains and a few large losses: what tempts to promote."""
    return rng.random(count), rng.random(count) + 1 - rng.exponential(1, count) + better


KINDS: list[Pairs] = [_binary, _hard_and_easy, _continuous, _mostly_tied, _skewed, _skewed_against]


def promoted(pairs: Pairs, count: int, better: float, options: JudgeOptions = FAST) -> int:
    """How many of the seeds end with a promotion."""
    times = 0
    for seed in range(SEEDS):
        incumbent, challenger = pairs(np.random.default_rng([seed, count]), count, better)
        differences = np.asarray(challenger, float) - np.asarray(incumbent, float)
        above = confidence_above(differences, options.min_improvement, options.resamples, seed)
        times += differences.mean() > options.min_improvement and above >= options.confidence
    return times


def at_most(risk: float) -> float:
    """What a true risk exceeds once in a thousand times."""
    return float(stats.binom.ppf(0.999, SEEDS, risk))


@pytest.mark.parametrize("count", [20, 60, 200])
@pytest.mark.parametrize("pairs", KINDS)
def test_an_equal_challenger_is_promoted_no_more_often_than_stated(pairs: Pairs, count: int) -> None:
    """Over 500 seeds, within binomial error, for scores of any kind and few or many examples."""
    assert promoted(pairs, count, 0) <= at_most(1 - FAST.confidence)


@pytest.mark.parametrize("pairs", [_binary, _mostly_tied])
def test_the_risk_is_the_one_that_is_asked_for(pairs: Pairs) -> None:
    """A confidence of 0.95 risks one in twenty."""
    assert promoted(pairs, 60, 0, replace(FAST, confidence=0.95)) <= at_most(0.05)


@pytest.mark.parametrize("pairs", [_binary, _hard_and_easy, _continuous])
def test_a_lead_of_just_what_is_asked_for_is_not_more(pairs: Pairs) -> None:
    """A challenger that is better by `min_improvement` exactly is promoted no more often than an equal one without."""
    assert promoted(pairs, 60, 0.1, replace(FAST, min_improvement=0.1)) <= at_most(1 - FAST.confidence)


@pytest.mark.parametrize(("pairs", "better"), [(_binary, 0.3), (_hard_and_easy, 0.25), (_continuous, 0.2)])
def test_a_clearly_better_challenger_is_found(pairs: Pairs, better: float) -> None:
    """On 60 examples, in at least 19 of 20 cases."""
    assert promoted(pairs, 60, better) >= 0.95 * SEEDS


def test_a_worse_challenger_is_hardly_ever_promoted() -> None:
    """Worse by a tenth on 60 examples: in fewer than 1 of 20 cases."""
    assert promoted(_binary, 60, -0.1) <= at_most(0.05)


# The decision.


@pytest.mark.parametrize(
    ("incumbent", "challenger", "confidence"),
    [
        ([], [], 0),
        ([1], [1], 0),
        ([0.5] * 50, [0.5] * 50, 0),
        ([0], [1], 0.5),  # one example can go either way
        ([0, 0], [1, 1], 0.75),
        ([0, 0, 0], [1, 1, 1], 0.875),
        ([0.1] * 3 + [0.2] * 40, [0.2] * 3 + [0.2] * 40, 0.875),  # three differ, forty are tied
        ([0, 1], [1, 0], 0),
        ([1] * 20, [0] * 20, 0),
    ],
)
def test_few_examples_and_ties(incumbent: Any, challenger: Any, confidence: float) -> None:
    """The exact values of a fair coin: ties count for nothing, and one or two examples never suffice for 0.8."""
    found = compare(incumbent, challenger)
    assert found.confidence == pytest.approx(confidence, abs=1e-9)
    assert decide(found, JudgeOptions())[0] == ("promote" if confidence >= 0.8 else "keep")


def test_floating_point_breaks_no_tie() -> None:
    """0.3 - 0.2 is 0.1 here, and no gain over 0.1."""
    found = compare([0.2, 0.2, 0.2], [0.3, 0.3, 0.3], JudgeOptions(min_improvement=0.1))
    assert (found.confidence, decide(found, JudgeOptions(min_improvement=0.1))[0]) == (0, "keep")
    assert compare([0.1 + 0.2] * 5, [0.3] * 5).better == 0


def test_the_reason_says_what_counted() -> None:
    """Not better, not better by enough, perhaps by chance, nothing to judge by, and better."""
    rng = np.random.default_rng(0)
    low, high = rng.random(40) * 0.3, rng.random(40) * 0.3 + 0.5
    options = JudgeOptions(min_improvement=0.6)
    assert "is not better: -" in decide(compare(high, low), JudgeOptions())[1]
    assert "is not better by more than 0.6: +0.4" in decide(compare(low, high), options)[1]
    assert (
        "may be chance: +0.5 on 2 examples (1 better, 0 worse), confidence 50%"
        in decide(compare([0, 0], [1, 0]), JudgeOptions())[1]
    )
    assert "nothing to judge by" in decide(compare([], []), JudgeOptions())[1]
    assert decide(compare(low, high), JudgeOptions()) == (
        "promote",
        f"the challenger is better: {high.mean() - low.mean():+.4g} on 40 examples (40 better, 0 worse), "
        "confidence 99.9% that it is better, 80% asked for",
    )


def test_what_falls_short_never_looks_as_if_it_did_not() -> None:
    """79.99% is not shown as 80%."""
    found = replace(compare([0, 0, 0], [1, 1, 0]), confidence=0.79999)
    assert "confidence 79.9% " in decide(found, JudgeOptions())[1]


SCORES = st.lists(st.tuples(st.floats(0, 1, width=16), st.floats(0, 1, width=16)), max_size=30)


@settings(max_examples=60, deadline=None)
@given(pairs=SCORES, shift=st.floats(0.001, 1), data=st.data())
def test_the_judge_is_fair(pairs: list[tuple[float, float]], shift: float, data: st.DataObject) -> None:
    """Never both better and worse; more for the challenger is never less confidence; nothing is out of range."""
    options = JudgeOptions(resamples=199)
    one, other = [a for a, _ in pairs], [b for _, b in pairs]
    forth, back = compare(one, other, options), compare(other, one, options)
    assert not (decide(forth, options)[0] == decide(back, options)[0] == "promote")
    assert 0 <= forth.confidence < 1
    assert forth == compare(one, other, options) or not pairs
    if pairs:
        low, high = forth.interval or (forth.difference, forth.difference)
        assert low - 1e-9 <= forth.difference <= high + 1e-9
        order = data.draw(st.permutations(range(len(pairs))))
        turned = compare([one[at] for at in order], [other[at] for at in order], options)
        assert turned.difference == pytest.approx(forth.difference)


def test_the_interval_covers() -> None:
    """A 95% interval around the mean holds the true difference in about 95 of 100 cases."""
    options = JudgeOptions(resamples=499)
    held = 0
    for seed in range(200):
        incumbent, challenger = _binary(np.random.default_rng(seed), 100, 0.1)
        low, high = compare(incumbent, challenger, options).interval or (math.nan, math.nan)
        held += low <= 0.1 <= high
    assert held >= 180


# Tables.

SCORED = {
    "quality": {"v1": [0.0, 0, 1, 0, 1, 0], "v2": [1.0, 1, 1, 1, 1, 1], "v0": [0.0] * 6},
    "short": {"v1": [0.5] * 6, "v2": [0.4] * 6},
}
TAGS = [{"lang": "de" if at % 2 else "en", "user": str(at), "all": "x"} for at in range(6)]


def test_tables_for_metrics_versions_and_slices() -> None:
    """The decision is by one metric; every other number is there to look at; a tag of many values makes no slices."""
    judgement = judge(
        SCORED, metric="quality", incumbent="v1", challenger="v2", tags=TAGS, options=JudgeOptions(max_slices=3)
    )
    assert judgement.decision == "promote"
    assert judgement.difference == judgement.metrics["quality"]
    assert judgement.metrics["short"].difference == pytest.approx(-0.1)
    assert judgement.versions["quality"]["v0"].mean == 0
    assert judgement.versions["short"].keys() == {"v1", "v2"}
    assert {name: (one.examples, one.difference) for name, one in judgement.slices.items()} == {
        "lang=de": (3, 1.0),
        "lang=en": (3, pytest.approx(1 / 3)),
    }
    assert judge(SCORED, metric="short", incumbent="v1", challenger="v2").decision == "keep"


def test_a_metric_may_lack_a_version() -> None:
    """What the incumbent was not scored by is shown by version, and not compared."""
    scores = {"quality": SCORED["quality"], "new": {"v2": [1.0] * 6}}
    judgement = judge(scores, metric="quality", incumbent="v1", challenger="v2")
    assert judgement.metrics.keys() == {"quality"}
    assert judgement.versions["new"]["v2"].mean == 1


def test_the_same_scores_give_the_same_judgement() -> None:
    """With the same seed, to the last digit."""
    calls = [judge(SCORED, metric="quality", incumbent="v1", challenger="v2", tags=TAGS) for _ in range(2)]
    assert calls[0] == calls[1]
    assert isinstance(calls[0].difference, Difference)


@pytest.mark.parametrize(
    ("scores", "options", "error", "says"),
    [
        ([math.nan, 1], JudgeOptions(), SettingsError, "metric quality: gave nan for example 1 answered by v2"),
        ([1, math.inf], JudgeOptions(), SettingsError, "example 2"),
        ([1, 1], JudgeOptions(confidence=80), SettingsError, "confidence: is 80"),
        ([1, 1], JudgeOptions(confidence=math.nan), SettingsError, "confidence: is nan"),
        ([1, 1], JudgeOptions(min_improvement=math.nan), SettingsError, "min_improvement: is nan"),
        ([1], JudgeOptions(), ValueError, "different numbers"),
    ],
)
def test_what_cannot_be_judged_is_named(scores: Any, options: JudgeOptions, error: Any, says: str) -> None:
    """A score that is no number is the metric's fault, and never a promotion."""
    with pytest.raises(error, match=says):
        judge(
            {"quality": {"v1": [0, 0], "v2": scores}},
            metric="quality",
            incumbent="v1",
            challenger="v2",
            options=options,
        )
