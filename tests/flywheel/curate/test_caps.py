"""No user and no value fills more than its share of what is kept."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.curation import contents, demonstrated, example, rated, text
from t0dspy.errors import SettingsError
from t0dspy.flywheel.curate.caps import allowance
from t0dspy.flywheel.curate.curate import Cap, CurateOptions, curate
from t0dspy.flywheel.example import PulledExample


# 500 thumbs-up of one user.
def _usual() -> list[PulledExample]:
    return [rated(text(at), at % 5 > 0, user=f"u{at % 40}", inference_id=f"i{at}", variant="v1") for at in range(200)]


@pytest.mark.parametrize("question", [text(3), text(999), text(0)], ids=["known and good", "new", "known and bad"])
def test_500_identical_ratings_of_one_user_move_nothing(question: str) -> None:
    """They do what one of them does: the same inputs and answers are kept, with any seed."""
    loud = [rated(question, True, user="loud", inference_id=f"l{at}", variant="v1") for at in range(500)]
    for seed in range(3):
        options = replace(CurateOptions(floor={"accepted": 1}, limit=100), seed=seed)
        once, often = curate([*_usual(), loud[0]], options), curate([*_usual(), *loud], options)
        assert contents(once) == contents(often)
        assert sum(often.dropped.values()) == sum(once.dropped.values()) + 499


def test_500_different_ratings_of_one_user_are_capped() -> None:
    """A loud user holds no more than the share of what is kept."""
    loud = [rated(text(1000 + at), True, user="loud", inference_id=f"l{at}", variant="v1") for at in range(500)]
    curated = curate([*_usual(), *loud], CurateOptions(floor={"accepted": 1}, gold="required"))
    users = Counter(one.tags["user_id"] for one in curated.kept)
    assert users["loud"] == 40  # a fifth of 200: the other users' good ones are 160
    assert len(curated.kept) == 200
    assert curated.dropped["over the cap of tags.user_id"] == 460


# Caps.
@given(counts=st.lists(st.integers(1, 60), max_size=8), alone=st.integers(0, 20), share=st.floats(0.01, 1))
def test_a_cap_is_the_largest_that_holds(counts: list[int], alone: int, share: float) -> None:
    """By trying every number."""
    found = allowance(counts, alone, Cap("variant", share, least=1))
    if len(counts) + alone < 2:
        assert found >= max(counts, default=0)
        return
    if (len(counts) + alone) * share < 1:
        assert found == sorted([*counts, *[1] * alone])[-2]
        return
    holds = [cap for cap in range(62) if cap <= share * (alone + sum(min(one, cap) for one in counts)) + 1e-9]
    assert min(found, max(counts, default=0)) == min(max([*holds, 1]), max(counts, default=0))


def _of_users(**counts: int) -> list[PulledExample]:
    names = [name for name, count in counts.items() for _ in range(count)]
    return [example(text(at), user=name if name != "none" else None) for at, name in enumerate(names)]


@pytest.mark.parametrize(
    ("counts", "kept"),
    [
        ({"a": 100}, {"a": 100}),  # nobody else is there
        ({"a": 100, "b": 1}, {"a": 20, "b": 1}),
        ({"a": 100, "b": 90, "c": 1}, {"a": 90, "b": 90, "c": 1}),  # three cannot hold a fifth each
        ({"a": 100, "none": 100}, {"a": 25, "none": 100}),
        ({"none": 100}, {"none": 100}),
    ],
)
def test_users_are_capped(counts: dict[str, int], kept: dict[str, int]) -> None:
    """No user owns the set; who has no tag counts for themselves."""
    curated = curate(_of_users(**counts), CurateOptions(limit=None))
    assert Counter(one.tags.get("user_id", "none") for one in curated.kept) == kept


def test_a_cap_keeps_those_of_which_most_is_known() -> None:
    """Demonstrations go last."""
    examples = [example(text(at), user="a") for at in range(50)]
    examples += [demonstrated(text(at), "b") for at in range(50, 55)]
    examples = [replace(one, tags={"user_id": "a"}) for one in examples] + _of_users(b=0, none=10)
    examples = [replace(one, inputs={"question": text(at)}) for at, one in enumerate(examples)]
    curated = curate(examples, CurateOptions(limit=None))
    assert sum(one.demonstration for one in curated.kept) == 5


@pytest.mark.parametrize("by", ["outputs.answer", "metrics.accepted", "inputs.kind", "variant", "tags.kind"])
def test_balance_is_a_cap(by: str) -> None:
    """Any field, tag or metric can be balanced."""
    examples = [
        PulledExample(
            inputs={"question": text(at), "kind": at < 90},
            outputs={"answer": at < 90},
            model_outputs={"answer": at < 90},
            metrics={"accepted": at < 90},
            variant=str(at < 90),
            tags={"kind": str(at < 90)},
        )
        for at in range(100)
    ]
    options = CurateOptions(caps=(Cap(by, 0.6, least=5),), limit=None)
    assert Counter(one.variant for one in curate(examples, options).kept) == {"True": 15, "False": 10}


def test_caps_hold_together() -> None:
    """After one cap has taken its toll, the others still hold."""
    examples = [
        example(text(at), user=f"u{at % 3 if at < 90 else at}", variant="v1" if at < 90 else "v2") for at in range(120)
    ]
    options = CurateOptions(caps=(Cap("tags.user_id", 0.2, 1), Cap("variant", 0.5, 1)), limit=None)
    kept = curate(examples, options).kept
    assert len(kept) > 20
    assert max(Counter(one.variant for one in kept).values()) <= 0.5 * len(kept)
    assert max(Counter(one.tags["user_id"] for one in kept).values()) <= 0.2 * len(kept)


def test_caps_hold_after_the_limit_too() -> None:
    """Who writes what nobody else does is chosen for diversity, and does not own what is kept by that."""
    usual = [example("Where is my order? " * 3 + text(at, 60), user=f"u{at}") for at in range(160)]
    odd = [example(text(1000 + at, 200), user="odd") for at in range(40)]
    options = CurateOptions(caps=(Cap("user", 0.2, least=1),), limit=50)
    kept = curate([*usual, *odd], options).kept
    assert 30 <= len(kept) <= 50
    assert 0 < sum(one.tags["user_id"] == "odd" for one in kept) <= 0.2 * len(kept)


@pytest.mark.parametrize("users", [1, 2])
def test_a_few_users_fill_the_limit(users: int) -> None:
    """One user, or two, who cannot hold a fifth each, are no reason to keep less than the limit."""
    examples = [example(text(at), user=f"u{at % users}", variant="v1") for at in range(200)]
    options = CurateOptions(caps=(Cap("user", 0.2, least=1), Cap("variant", 0.8, least=1)), limit=100)
    assert len(curate(examples, options).kept) >= 90


@pytest.mark.parametrize(
    "cap", [("users", 0.2), ("tags", 0.2), ("tags.", 0.2), ("user", 0), ("user", 2), ("user", 1, 0)]
)
def test_a_wrong_cap_is_named(cap: Any) -> None:
    """A cap by something that no example has would hold nobody back."""
    with pytest.raises(SettingsError, match="caps, "):
        Cap(*cap)


def test_the_users_tag_is_the_caps_too() -> None:
    """Whoever names another tag is capped by it; a limit of 0 keeps all."""
    examples = [replace(one, tags={"uid": one.tags["user_id"]}) for one in _of_users(a=100, b=1)]
    assert len(curate(examples, CurateOptions(limit=0)).kept) == 101
    curated = curate(examples, CurateOptions(user_tag="uid"))
    assert curated.dropped == {"over the cap of tags.uid": 80}
