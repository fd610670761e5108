"""No example in two sets, under any order of arrival and over months."""

import json
import random
import string
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.split import example, various
from t0dspy.errors import SettingsError
from t0dspy.flywheel.curate.sketch_index import SketchIndex, are_alike
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.split.handles import Handles, handles, lineage_of, without_lineage
from t0dspy.flywheel.split.set_state import SETS
from t0dspy.flywheel.split.split import SetOptions, Sets, SetState, UserExamples, split

TEXT = "The parcel with order number 4711 came on Tuesday, but the box was wet and one of the cups in it is broken. {}"


def members(sets: Sets) -> Iterator[tuple[str, PulledExample]]:
    return ((name, one) for name in SETS for one in getattr(sets, name))


def tied(one: Handles, other: Handles) -> bool:
    return bool(set(one.keys) & set(other.keys)) or are_alike(one.sketch, other.sketch, 0.8)


def assert_disjoint(placed: Sequence[tuple[str, PulledExample]]) -> None:
    """By all pairs, as `split` does not do it."""
    marked = [(name, handles(one)) for name, one in placed]
    for at, (name, mark) in enumerate(marked):
        for other_name, other in marked[:at]:
            assert name == other_name or not tied(mark, other)


def _chained(kind: int, step: int) -> str:
    """Texts of one kind whose neighbours are near-duplicates and whose ends are not."""
    letters = random.Random(kind).choices(string.ascii_lowercase, k=150)
    for at in range(step):
        letters[at * 3 % 150] = "#"
    return "".join(letters)


EXAMPLES = st.builds(
    lambda kind, step, episode, demonstration: example(
        _chained(kind, step), None if episode is None else f"e{episode}", demonstration=demonstration
    ),
    st.integers(0, 3),
    st.integers(0, 12),
    st.none() | st.integers(0, 12),
    st.booleans(),
)
MONTHS = st.lists(st.lists(EXAMPLES, max_size=10), min_size=1, max_size=4)
OWN = st.builds(UserExamples, *[st.lists(EXAMPLES, max_size=3)] * 3)


def test_the_strategy_has_chains() -> None:
    """What the property tests below draw from holds near-duplicates whose ends are not alike."""
    sketches = [handles(example(_chained(0, step))).sketch for step in range(13)]
    assert all(are_alike(one, other, 0.8) for one, other in pairwise(sketches))
    assert not are_alike(sketches[0], sketches[12], 0.8)


@settings(max_examples=150, deadline=None)
@given(months=MONTHS, own=OWN, gold=st.sampled_from(["none", "required"]), seed=st.integers(0, 5))
def test_nothing_is_in_two_sets_over_months(months: Any, own: UserExamples, gold: Any, seed: int) -> None:
    """Whatever comes in whatever month, no episode, input or near-duplicate is in two sets, and nothing moves."""
    options, state = SetOptions(gold=gold, seed=seed), SetState()
    seen: dict[str, str] = {}
    placed: list[tuple[str, PulledExample]] = []
    for month in months:
        sets = split(month, state, options, own)
        for name, one in members(sets):
            line = one.to_line()
            assert seen.setdefault(line, name) == name, "it moved"
            placed.append((name, one))
        assert sum(sets.dropped.values()) + len(list(members(sets))) == len(month) + sum(
            len(getattr(own, name)) for name in SETS
        )
        assert state.sets.items() <= sets.state.sets.items()
        state = sets.state
    assert_disjoint(placed)
    once_more = [one for month in months for one in month]
    again = split(once_more, state, options, own)
    assert {one.to_line(): name for name, one in members(again)}.items() >= seen.items()


@settings(max_examples=100, deadline=None)
@given(examples=st.lists(EXAMPLES, max_size=14), own=OWN, data=st.data())
def test_order_of_arrival_says_nothing(examples: list[PulledExample], own: UserExamples, data: st.DataObject) -> None:
    """The same examples in another order are divided in the same way, to the byte of the state."""
    other = split(data.draw(st.permutations(examples)), SetState(), user_examples=own)
    sets = split(examples, SetState(), user_examples=own)
    assert (sets.train, sets.validation, sets.holdout, sets.dropped) == (
        other.train,
        other.validation,
        other.holdout,
        other.dropped,
    )
    assert sets.state.to_json() == other.state.to_json()


@settings(max_examples=60, deadline=None)
@given(text=st.text(min_size=60, max_size=300), at=st.integers(0, 59), letter=st.characters(codec="utf-8"))
def test_one_changed_letter_of_any_script_stays_in_its_set(text: str, at: int, letter: str) -> None:
    """A text of 150 or more characters and the same with one changed are near-duplicates, in any script."""
    text = (text * 3)[:300] + "".join(chr(0x4E00 + number) for number in range(150))
    changed = text[:at] + letter + text[at + 1 :]
    first = split([example(text, "e1")], SetState())
    second = split([example(changed, "e2")], first.state)
    assert [name for name, _ in members(first)] == [name for name, _ in members(second)]


def test_shares_are_about_what_is_asked() -> None:
    """Of many examples each set gets its share; of labelled ones the holdout gets half where gold is required."""
    sets = split(various(800), SetState())
    assert 160 < len(sets.holdout) < 240
    assert 160 < len(sets.validation) < 240
    mixed = [*various(400, 2), *various(200, 3, demonstration=True)]
    sets = split(mixed, SetState(), SetOptions(gold="required"))
    assert 75 < len(sets.holdout) < 125
    assert all(one.demonstration for one in sets.holdout)
    assert 110 < len(sets.validation) < 200
    assert not sets.dropped


def test_age_says_nothing() -> None:
    """The dates of a set's examples are those of all."""
    examples = [replace(one, timestamp=f"2026-01-01T00:00:{at:06}Z") for at, one in enumerate(various(600))]
    sets = split(examples, SetState())
    for name in SETS:
        older = sum(one.timestamp < examples[300].timestamp for one in getattr(sets, name))
        assert 0.38 < older / len(getattr(sets, name)) < 0.62


def test_a_bridge_is_dropped_and_counted() -> None:
    """An example of an episode in one set and with an input of another is in neither, this month and the next."""
    train, holdout = example("to train on", "e1"), example("quite another thing", "e2")
    state = split([], SetState(), user_examples=UserExamples(train=[train], holdout=[holdout])).state
    bridge = example("to train on", "e2")
    for _ in range(2):
        sets = split([bridge], state)
        assert [*members(sets)] == []
        assert sets.dropped == {"tied to two sets": 1}
        state = sets.state


def test_a_bridge_carries_nothing_over() -> None:
    """What is tied to a bridge alone is free; what is tied to a set's example through others joins that set."""
    own = UserExamples(train=[example("a" * 40, "e1")], holdout=[example("b" * 40, "e2")])
    chain = [example("c" * 40, "e1"), example("c" * 40, "e3"), example("d" * 40, "e3")]
    sets = split(chain, SetState(), user_examples=own)
    assert len(sets.train) == 4
    bridges = [example("c" * 40, "e1"), example("c" * 40, "e2")]
    sets = split(bridges, SetState(), user_examples=own)
    assert sets.dropped == {"tied to two sets": 1}


def test_own_files_win_where_nothing_is_decided() -> None:
    """The user's holdout draws production's examples of the same input; an earlier decision beats the user's file."""
    [one] = various(1)
    label = replace(one, episode_id=None, demonstration=True)
    sets = split([one], SetState(), user_examples=UserExamples(holdout=[label]))
    assert (sets.holdout, sets.train, sets.dropped) == ([label], [], {"its input is in a file of yours": 1})
    late = split([], sets.state, user_examples=UserExamples(train=[label]))
    assert late.dropped == {"yours for train, but tied to holdout": 1}
    both = split([], SetState(), user_examples=UserExamples(train=[label], holdout=[label]))
    assert (len(both.holdout), both.dropped) == (1, {"yours for train, but tied to holdout": 1})


def test_a_models_own_answer_never_judges() -> None:
    """Where gold is required, the holdout has only answers of people; others of their group are dropped, not moved."""
    label = example("one question", "e1", demonstration=True)
    rated = example("another question", "e1", metrics={"accepted": True})
    for seed in range(10):
        sets = split([label, rated], SetState(), SetOptions(gold="required", seed=seed))
        if sets.holdout:
            assert sets.holdout == [label]
            assert sets.dropped == {"holdout: the answer is not a person's": 1}
            return
    pytest.fail("no seed put a label into the holdout")


def test_one_huge_episode_goes_to_train() -> None:
    """A group that is a large part of all judges nothing."""
    huge = [replace(one, episode_id="all") for one in various(100)]
    sets = split([*huge, *various(100, 2)], SetState(), SetOptions(holdout=0.9, validation=0.05))
    assert {one.episode_id for one in sets.holdout}.isdisjoint({"all"})
    assert sum(one.episode_id == "all" for one in sets.train) == 100


def test_a_changed_similarity_moves_nothing() -> None:
    """With a lower similarity, examples that were divided before stay where they were."""
    options = SetOptions()
    chain = [example(_chained(kind, step)) for kind in range(4) for step in (0, 10, 20, 30, 40)]
    first = split(chain, SetState(), options)
    assert split(chain, SetState(), replace(options, similarity=0.2)).train != first.train
    again = split(chain, first.state, replace(options, similarity=0.2))
    assert list(members(first)) == list(members(again))


def test_shares_that_leave_nothing_are_refused() -> None:
    """A set to train on there must be."""
    for shares in ({"holdout": 0.6, "validation": 0.4}, {"holdout": 1}, {"validation": -0.1}, {"labelled_holdout": 2}):
        with pytest.raises(SettingsError):
            SetOptions(**shares)


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), min_size=1, max_size=25), known=st.integers(0, 25)
)
def test_finding_agrees_with_all_pairs(steps: list[tuple[int, int]], known: int) -> None:
    """What is found among sketches that were known and that were added is what comparing all of them finds."""
    *sketches, wanted = [handles(example(_chained(*step))).sketch for step in steps]
    collection = SketchIndex(0.8, sketches[:known])
    assert [collection.add(one) for one in sketches[known:]] == list(range(len(sketches)))[known:]
    assert collection.find(wanted) == [at for at, one in enumerate(sketches) if are_alike(one, wanted, 0.8)]


# Lineage.
def test_a_holdout_holds_nothing_of_a_lineage() -> None:
    """What was used in making a version, its episode or a near-duplicate of it, is not judged by."""
    used = example(TEXT.format("Please help."), "e1")
    lineage = lineage_of([used])
    holdout = [
        example(TEXT.format("Please help!"), "e2"),
        example(TEXT.format("Please help."), "e3"),
        example("another thing of that episode", "e1"),
        example("nothing of the kind", "e4"),
        example("nothing of the kind, without an episode"),
    ]
    assert without_lineage(holdout, lineage) == (holdout[3:], 3)
    assert without_lineage(holdout, ()) == (holdout, 0)
    with pytest.raises(SettingsError, match="is not a handle"):
        without_lineage(holdout, ["something"])


@settings(max_examples=50, deadline=None)
@given(used=st.lists(EXAMPLES, max_size=8), holdout=st.lists(EXAMPLES, max_size=8))
def test_lineage_agrees_with_all_pairs(used: list[PulledExample], holdout: list[PulledExample]) -> None:
    """An example is clean exactly when it is tied to nothing that was used."""
    clean, count = without_lineage(holdout, json.loads(json.dumps(lineage_of(used))))
    expected = [one for one in holdout if not any(tied(handles(one), handles(other)) for other in used)]
    assert clean == expected
    assert count == len(holdout) - len(expected)
