"""The promotion test keeps the stated risk, and never punishes a challenger for being better."""

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
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.promotion.compare import Difference, compare, mean_of
from t0dspy.flywheel.promotion.decide import decide
from t0dspy.flywheel.promotion.dirichlet import group_sums, probability_positive
from t0dspy.flywheel.promotion.groups import groups_of, numbered
from t0dspy.flywheel.promotion.options import PromotionOptions
from t0dspy.flywheel.promotion.promotion import promotion_test

SEEDS = int(os.environ.get("T0DSPY_TEST_PROMOTION_SEEDS", "300"))
OPTIONS = PromotionOptions()

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


def _smooth_for_sure(rng: Generator, count: int, better: float) -> tuple[Any, Any]:
    """A smooth score against one that is right or wrong, with the same mean: small gains, large losses."""
    chance = rng.beta(8, 2, count)
    return chance, (rng.random(count) < chance) + better


def _rare_losses(rng: Generator, count: int, better: float) -> tuple[Any, Any]:
    """Small gains, and in a fifth of the cases a loss four times as large."""
    return np.zeros(count), np.where(rng.random(count) < 0.2, -0.8, 0.2) + better


KINDS: list[Pairs] = [
    _binary,
    _hard_and_easy,
    _continuous,
    _mostly_tied,
    _skewed,
    _skewed_against,
    _smooth_for_sure,
    _rare_losses,
]


def users(rng: Generator, count: int) -> list[str]:
    """Users of 5 to 15 examples each."""
    sizes = rng.integers(5, 16, count // 5 + 1)
    return [f"user {number}" for number, size in enumerate(sizes) for _ in range(size)][:count]


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


@pytest.mark.parametrize("pairs", [_binary, _hard_and_easy, _continuous])
def test_a_lead_of_just_what_is_asked_for_is_not_more(pairs: Pairs) -> None:
    """A challenger that is better by `min_improvement` exactly is promoted no more often than an equal one without."""
    assert (confidences(pairs, 60, 0.1, minimum=0.1) >= 0.8).sum() <= at_most(0.2)


def clustered(seed: int, count: int) -> tuple[list[str], Any]:
    """Users, half of the variance shared within each, and equal contenders: right or wrong, 20% differ."""
    rng = np.random.default_rng([seed, count])
    groups = users(rng, count)
    shared = dict(zip(sorted(set(groups)), rng.normal(size=len(set(groups))), strict=True))
    latent = math.sqrt(0.5) * np.array([shared[user] for user in groups]) + math.sqrt(0.5) * rng.normal(size=count)
    edge = stats.norm.ppf(0.9)
    return groups, np.where(latent < -edge, -1.0, np.where(latent > edge, 1.0, 0.0))


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


def test_the_probability_is_that_of_its_definition() -> None:
    """Against the closed form for distinct values, and drawing the weights for many."""
    few = np.array([0.9, -0.3, 0.4, 0.1, -0.75])
    exact = sum(np.prod([a / (a - b) for b in few if a != b]) for a in few if a > 0)
    assert probability_positive(few) == pytest.approx(float(exact), abs=1e-12)
    assert probability_positive(few * 1e-300) == pytest.approx(float(exact), abs=1e-12)
    rng = np.random.default_rng(2)
    for count in (1, 3, 30, 300):
        values = np.append(rng.normal(0.05, 0.3, count), -0.8)
        drawn = (rng.exponential(size=(20_000, count + 1)) @ values > 0).mean()
        assert probability_positive(values) == pytest.approx(drawn, abs=0.015)


def test_many_groups_need_little_memory() -> None:
    """100,000 groups, all of them different, in chunks: far less than groups times points of the integral."""
    import tracemalloc

    values = np.random.default_rng(3).normal(0.002, 0.3, 100_000)
    tracemalloc.start()
    found = group_sums(values, None, None).confidence_above(0.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == pytest.approx(stats.norm.cdf(values.mean() / values.std() * math.sqrt(100_000)), abs=0.01)
    assert peak < 60e6


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
    with pytest.raises(SettingsError, match=r"gave 1\.5 for example 2, outside of `score_range`, 0 to 1"):
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


@pytest.mark.parametrize(("pairs", "better"), [(_binary, 0.3), (_hard_and_easy, 0.25), (_continuous, 0.2)])
def test_a_clearly_better_challenger_is_found(pairs: Pairs, better: float) -> None:
    """On 60 examples, in at least 19 of 20 cases."""
    assert (confidences(pairs, 60, better) >= 0.8).mean() >= 0.95


def test_a_worse_challenger_is_hardly_ever_promoted() -> None:
    """Worse by a tenth on 60 examples: in fewer than 1 of 20 cases."""
    assert (confidences(_binary, 60, -0.1) >= 0.8).sum() <= at_most(0.05)


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
    assert decide(found, PromotionOptions())[0] == ("promote" if confidence >= 0.8 else "keep")


def test_floating_point_breaks_no_tie() -> None:
    """0.3 - 0.2 is 0.1 here, and no gain over 0.1."""
    found = compare([0.2, 0.2, 0.2], [0.3, 0.3, 0.3], PromotionOptions(min_improvement=0.1))
    assert (found.confidence, decide(found, PromotionOptions(min_improvement=0.1))[0]) == (0, "keep")
    assert compare([0.1 + 0.2] * 5, [0.3] * 5).better == 0


def test_the_reason_says_what_counted() -> None:
    """Not better, not better by enough, perhaps by chance, nothing to judge by, and better."""
    rng = np.random.default_rng(0)
    low, high = rng.random(40) * 0.3, rng.random(40) * 0.3 + 0.5
    options = PromotionOptions(min_improvement=0.6)
    assert "is not better: -" in decide(compare(high, low), PromotionOptions())[1]
    assert "is not better by more than 0.6: +0.4" in decide(compare(low, high), options)[1]
    assert (
        "may be chance: +0.5 on 2 examples (1 better, 0 worse), confidence 50%"
        in decide(compare([0, 0], [1, 0]), PromotionOptions())[1]
    )
    assert "nothing to judge by" in decide(compare([], []), PromotionOptions())[1]
    assert decide(compare(low, high), PromotionOptions()) == (
        "promote",
        f"the challenger is better: {high.mean() - low.mean():+.4g} on 40 examples (40 better, 0 worse), "
        "confidence 99.9% that it is better, 80% asked for",
    )


def test_what_falls_short_never_looks_as_if_it_did_not() -> None:
    """79.99% is not shown as 80%."""
    found = replace(compare([0, 0, 0], [1, 1, 0]), confidence=0.79999)
    assert "confidence 79.9% " in decide(found, PromotionOptions())[1]


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


def test_the_intervals_cover() -> None:
    """A 95% interval holds the true difference, or mean, in 95 of 100 cases or more; of users too."""
    held = [0, 0, 0]
    for seed in range(50):
        incumbent, challenger = _binary(np.random.default_rng(seed), 100, 0.1)
        groups, differences = clustered(seed, 100)
        for number, (interval, truth) in enumerate(
            (
                (compare(incumbent, challenger).interval, 0.1),
                (mean_of(incumbent).interval, 0.6),
                (compare([0.0] * 100, differences, OPTIONS, groups).interval, 0.0),
            )
        ):
            low, high = interval or (math.nan, math.nan)
            held[number] += low <= truth <= high
    assert min(held) >= stats.binom.ppf(0.001, 50, 0.95)


def test_the_interval_of_a_mean_of_right_or_wrong_scores_is_exact() -> None:
    """That of Clopper and Pearson; all right does not mean certain."""
    for right in (0, 1, 13, 40):
        low, high = mean_of([1.0] * right + [0.0] * (40 - right)).interval or (math.nan, math.nan)
        assert low == pytest.approx(stats.beta.ppf(0.025, right, 41 - right) if right else 0.0, abs=1e-6)
        assert high == pytest.approx(stats.beta.ppf(0.975, right + 1, 40 - right) if right < 40 else 1.0, abs=1e-6)
    assert mean_of([]).interval is None
    low, high = mean_of([-3.0, 5.0]).interval or (math.nan, math.nan)
    assert (low, high) == (pytest.approx(-3, abs=0.2), pytest.approx(5, abs=0.2))


def test_the_interval_agrees_with_the_confidence() -> None:
    """Its lower end is where the confidence is 97.5%: above 0 exactly when the challenger is that surely better."""
    rng = np.random.default_rng(4)
    for _ in range(20):
        scores = rng.normal(0.1, 0.3, 40)
        low, _high = compare([0.0] * 40, scores).interval or (math.nan, math.nan)
        assert (low > 0) == (compare([0.0] * 40, scores).confidence > 0.975)
        at_low = compare([0.0] * 40, scores, PromotionOptions(min_improvement=low - 1e-9)).confidence
        assert at_low == pytest.approx(0.975, abs=1e-4)
    assert compare([0.5] * 9, [0.5] * 9).interval is None


# Tables.

SCORED = {
    "quality": {"v1": [0.0, 0, 1, 0, 1, 0], "v2": [1.0, 1, 1, 1, 1, 1], "v0": [0.0] * 6},
    "short": {"v1": [0.5] * 6, "v2": [0.4] * 6},
}
TAGS = [{"lang": "de" if at % 2 else "en", "user": str(at), "all": "x"} for at in range(6)]


def test_tables_for_metrics_versions_and_slices() -> None:
    """The decision is by one metric; every other number is there to look at; a tag of many values makes no slices."""
    result = promotion_test(
        SCORED, metric="quality", incumbent="v1", challenger="v2", tags=TAGS, options=PromotionOptions(max_slices=3)
    )
    assert result.decision == "promote"
    assert result.difference == result.metrics["quality"]
    assert result.metrics["short"].difference == pytest.approx(-0.1)
    assert result.versions["quality"]["v0"].mean == 0
    assert result.versions["short"].keys() == {"v1", "v2"}
    assert {name: (one.examples, one.difference) for name, one in result.slices.items()} == {
        "lang=de": (3, 1.0),
        "lang=en": (3, pytest.approx(1 / 3)),
    }
    assert promotion_test(SCORED, metric="short", incumbent="v1", challenger="v2").decision == "keep"


def test_a_metric_may_lack_a_version() -> None:
    """What the incumbent was not scored by is shown by version, and not compared."""
    scores = {"quality": SCORED["quality"], "new": {"v2": [1.0] * 6}}
    result = promotion_test(scores, metric="quality", incumbent="v1", challenger="v2")
    assert result.metrics.keys() == {"quality"}
    assert result.versions["new"]["v2"].mean == 1


def test_the_same_scores_give_the_same_result() -> None:
    """To the last digit: nothing is drawn."""
    calls = [promotion_test(SCORED, metric="quality", incumbent="v1", challenger="v2", tags=TAGS) for _ in range(2)]
    assert calls[0] == calls[1]
    assert isinstance(calls[0].difference, Difference)


@pytest.mark.parametrize(
    ("scores", "options", "error", "says"),
    [
        ([math.nan, 1], {}, SettingsError, "metric quality, v2: gave nan for example 1"),
        ([1, math.inf], {}, SettingsError, "example 2"),
        ([-1e308, 1], {}, SettingsError, "too large"),
        ([1, 2], {"strict": True}, SettingsError, "metric quality, v2: gave 2 for example 2, outside"),
        ([1, 1], {"confidence": 80}, SettingsError, "confidence: is 80"),
        ([1, 1], {"confidence": math.nan}, SettingsError, "confidence: is nan"),
        ([1, 1], {"min_improvement": math.nan}, SettingsError, "min_improvement: is nan"),
        ([1, 1], {"score_range": (1, 0)}, SettingsError, "score_range: is"),
        ([1], {}, ValueError, "different numbers"),
        ([1, 1], {"groups": ["a"]}, ValueError, "1 groups"),
    ],
)
def test_scores_that_cannot_be_compared_are_named(scores: Any, options: Any, error: Any, says: str) -> None:
    """A score that is not a number is the metric's fault, and never a promotion."""
    groups = options.pop("groups", ())
    incumbent = [1e308, 0] if scores[0] == -1e308 else [0, 0]
    with pytest.raises(error, match=says):
        promotion_test(
            {"quality": {"v1": incumbent, "v2": scores}},
            metric="quality",
            incumbent="v1",
            challenger="v2",
            groups=groups,
            options=PromotionOptions(**options),
        )
