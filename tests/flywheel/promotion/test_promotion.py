"""The promotion test keeps the stated risk, and never punishes a challenger for being better."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator
from scipy import stats

from support.promotion import OPTIONS, binary, clustered
from t0dspy.errors import SettingsError
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.promotion.compare import compare
from t0dspy.flywheel.promotion.decide import decide
from t0dspy.flywheel.promotion.dirichlet import group_sums
from t0dspy.flywheel.promotion.groups import groups_of, numbered
from t0dspy.flywheel.promotion.options import PromotionOptions
from t0dspy.flywheel.promotion.promotion import promotion_test

SEEDS = int(os.environ.get("T0DSPY_TEST_PROMOTION_SEEDS", "300"))
Pairs = Callable[[Generator, int, float], tuple[Any, Any]]
"""A generator of random numbers, how many examples, and by how much the challenger is truly better."""


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


def _smooth_for_sure(rng: Generator, count: int, better: float) -> tuple[Any, Any]:
    """A smooth score against one that is right or wrong, with the same mean: small gains, large losses."""
    chance = rng.beta(8, 2, count)
    return chance, (rng.random(count) < chance) + better


def _rare_losses(rng: Generator, count: int, better: float) -> tuple[Any, Any]:
    """Small gains, and in a fifth of the cases a loss four times as large."""
    return np.zeros(count), np.where(rng.random(count) < 0.2, -0.8, 0.2) + better


KINDS: list[Pairs] = [
    binary,
    _hard_and_easy,
    _continuous,
    _mostly_tied,
    _skewed,
    _skewed_against,
    _smooth_for_sure,
    _rare_losses,
]


def confidences(pairs: Pairs, count: int, better: float, minimum: float = 0.0) -> Any:
    """The confidence of each seed."""
    found = []
    for seed in range(SEEDS):
        incumbent, challenger = pairs(np.random.default_rng([seed, count]), count, better)
        differences = np.asarray(challenger, float) - np.asarray(incumbent, float)
        found.append(group_sums(differences, None, None).confidence_above(minimum))
    return np.array(found)


def at_most(risk: float) -> float:
    """What a true risk exceeds once in a thousand times."""
    return float(stats.binom.ppf(0.999, SEEDS, risk))


@pytest.mark.parametrize("count", [20, 60, 200])
@pytest.mark.parametrize("pairs", KINDS)
def test_an_equal_challenger_is_promoted_no_more_often_than_stated(pairs: Pairs, count: int) -> None:
    """Within binomial error, for scores of any kind, few or many examples, and two levels of risk."""
    found = confidences(pairs, count, 0)
    assert (found >= 0.8).sum() <= at_most(0.2)
    if pairs not in (_skewed_against, _smooth_for_sure, _rare_losses) or count > 20:
        assert (found >= 0.95).sum() <= at_most(0.05)


@pytest.mark.parametrize("pairs", [binary, _hard_and_easy, _continuous])
def test_a_lead_of_just_what_is_asked_for_is_not_more(pairs: Pairs) -> None:
    """A challenger that is better by `min_improvement` exactly is promoted no more often than an equal one without."""
    assert (confidences(pairs, 60, 0.1, minimum=0.1) >= 0.8).sum() <= at_most(0.2)


@pytest.mark.parametrize("count", [50, 200])
def test_examples_of_one_user_are_one_group(count: int) -> None:
    """The stated risk holds where answers to one user are alike; taken for independent, it would not."""
    promoted = alone = 0
    for seed in range(SEEDS):
        groups, differences = clustered(seed, count)
        by_user = group_sums(differences, numbered(groups, count), None)
        promoted += by_user.confidence_above(0.0) >= 0.8
        alone += group_sums(differences, None, None).confidence_above(0.0) >= 0.8
    assert promoted <= at_most(0.2) < alone


@pytest.mark.parametrize("jitter", [0.0, 0.001])
def test_the_better_a_challenger_the_more_often_it_is_promoted(jitter: float) -> None:
    """The rate never falls as the chance to win rises, and reaches 1; noise in the scores changes nothing of it."""
    rng = np.random.default_rng(5)
    luck, noise = rng.random((SEEDS, 61)), rng.normal(size=(SEEDS, 61)) * jitter
    rates = []
    for chance in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0):
        differences = np.where(luck < chance, 1.0, -1.0) + noise
        rates.append(np.mean([group_sums(each, None, None).confidence_above(0.0) >= 0.8 for each in differences]))
    assert rates == sorted(rates)
    assert rates[-4:] == [1.0] * 4


@pytest.mark.parametrize("jitter", [0.0, 0.001])
@pytest.mark.parametrize("examples", [61, 1000])
def test_winning_all_but_one_promotes(examples: int, jitter: float) -> None:
    """60 of 61, 999 of 1,000, and with scores that are not quite 0 and 1."""
    noise = np.random.default_rng(1).normal(size=examples) * jitter
    scores = {"m": {"v1": [0.0] * examples, "c": [*(noise[1:] + 1), 0.0]}}
    found = promotion_test(scores, metric="m", incumbent="v1", challenger="c")
    assert found.decision == "promote"
    assert found.difference.confidence > 0.9999


@pytest.mark.parametrize(("better", "worse"), [(60, 1), (30, 22), (5, 2), (110, 90), (520, 480), (2000, 1900), (3, 3)])
def test_right_or_wrong_scores_give_the_exact_mcnemar_test(better: int, worse: int) -> None:
    """Ties drop out, and what is left is a fair coin."""
    values = np.r_[np.ones(better), -np.ones(worse), np.zeros(50)]
    expected = float(stats.binom.cdf(better - 1, better + worse, 0.5)) if better > worse else 0.0
    assert group_sums(values, None, None).confidence_above(0.0) == pytest.approx(expected, abs=1e-10)


def test_strict_assumes_the_largest_loss_that_is_possible() -> None:
    """A loss that the examples do not show can still be there."""
    gains = np.full(40, 0.05)
    strict = PromotionOptions(strict=True)
    assert compare([0.0] * 40, gains).confidence > 0.99
    assert compare([0.0] * 40, gains, strict).confidence < 0.95
    unseen = sum(
        group_sums(_rare_losses(np.random.default_rng(seed), 20, 0)[1], None, 1.0).confidence_above(0.0) >= 0.95
        for seed in range(SEEDS)
    )
    assert unseen <= at_most(0.05)
    with pytest.raises(SettingsError, match=r"returned 1\.5 for example 2, outside of `score_range`, 0 to 1"):
        compare([0.0, 1.5], [0.0, 0.0], strict)


def test_whose_group_an_example_is_in() -> None:
    """Its user's, else its episode's, else its own; an empty tag is none."""
    examples = [
        PulledExample({"q": 1}, None, None, tags={"tenant": "a"}, episode_id="e1"),
        PulledExample({"q": 2}, None, None, tags={"tenant": "a"}, episode_id="e2"),
        PulledExample({"q": 3}, None, None, tags={"tenant": "", "user_id": "a"}, episode_id="e1"),
        PulledExample({"q": 4}, None, None, episode_id="e1"),
        PulledExample({"q": 5}, None, None),
        PulledExample({"q": 6}, None, None),
    ]
    groups = groups_of(examples, "tenant")
    assert len(set(groups)) == 4
    assert groups[0] == groups[1] != groups[2] == groups[3]
    assert len(set(groups_of(examples, "user_id"))) == 5


def test_too_few_groups_are_named() -> None:
    """A challenger that wins everything is not promoted on two users, and the reason says how many it takes."""
    scores = {"m": {"v1": [0.0] * 40, "c": [1.0] * 40}}
    found = promotion_test(scores, metric="m", incumbent="v1", challenger="c", groups=["a"] * 20 + ["b"] * 20)
    assert found.decision == "keep"
    assert "+1 on 40 examples in 2 groups" in found.reason
    assert "the groups are too few: at most 75% is possible with 2, and 80% needs 3 or more" in found.reason
    assert "too few" in decide(compare([0.0], [1.0]), PromotionOptions(confidence=1.0))[1]
    three = [0.0] * 3, [1.0] * 3
    assert decide(compare(*three), OPTIONS)[0] == "promote"
    assert "needs 6 or more" in decide(compare(*three), PromotionOptions(confidence=0.9833))[1]


@pytest.mark.parametrize(("pairs", "better"), [(binary, 0.3), (_hard_and_easy, 0.25), (_continuous, 0.2)])
def test_a_clearly_better_challenger_is_found(pairs: Pairs, better: float) -> None:
    """On 60 examples, in at least 19 of 20 cases."""
    assert (confidences(pairs, 60, better) >= 0.8).mean() >= 0.95


def test_a_worse_challenger_is_hardly_ever_promoted() -> None:
    """Worse by a tenth on 60 examples: in fewer than 1 of 20 cases."""
    assert (confidences(binary, 60, -0.1) >= 0.8).sum() <= at_most(0.05)


SCORES = st.lists(st.tuples(st.floats(0, 1, width=16), st.floats(0, 1, width=16)), max_size=30)


@settings(max_examples=15, deadline=None)
@given(pairs=SCORES, rise=st.floats(0.001, 1), data=st.data())
def test_the_test_is_fair(pairs: list[tuple[float, float]], rise: float, data: st.DataObject) -> None:
    """Never both better and worse; a higher score is never less confidence; order and unit count for nothing."""
    strict = PromotionOptions(strict=True, score_range=(-1.0, 3.0))
    before, after = [a for a, _ in pairs], [b for _, b in pairs]
    forth, back = compare(before, after), compare(after, before)
    assert not (decide(forth, OPTIONS)[0] == decide(back, OPTIONS)[0] == "promote")
    assert 0 <= forth.confidence <= 1
    if not pairs:
        return
    low, high = forth.interval or (forth.difference, forth.difference)
    assert low - 1e-9 <= forth.difference <= high + 1e-9
    order = data.draw(st.permutations(range(len(pairs))))
    turned = compare([before[at] for at in order], [after[at] for at in order])
    assert turned.confidence == pytest.approx(forth.confidence, abs=1e-9)
    scaled = compare([1000 * score - 7000 for score in before], [1000 * score - 7000 for score in after])
    assert scaled.confidence == pytest.approx(forth.confidence, abs=1e-6)
    better = [score + (rise if at == order[0] else 0) for at, score in enumerate(after)]
    assert compare(before, better, strict).confidence >= compare(before, after, strict).confidence - 1e-9
