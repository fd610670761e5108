"""Of duplicates and near-duplicates the best known example is kept."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from support.curation import QUIET, contents, example, rated, text
from t0dspy.flywheel.curate.curate import curate


# Duplicates.
def test_of_one_input_the_best_known_is_kept() -> None:
    """A demonstration before a rating before none; null fields and whole floats make no other input."""
    inputs = [{"a": 1, "b": None}, {"a": 1.0}, {"b": None, "a": 1}]
    known: Sequence[dict[str, Any]] = [{"comments": ["x"]}, {"demonstration": True}, {"metrics": {"accepted": True}}]
    examples = [replace(example("q"), inputs=one, **more) for one, more in zip(inputs, known, strict=True)]
    curated = curate(examples, QUIET)
    assert [one.demonstration for one in curated.kept] == [True]
    assert curated.dropped == {"duplicate": 2}
    booleans = [replace(example("q"), inputs={"a": value}) for value in (1, True, "1", "true")]
    assert len(curate(booleans, QUIET).kept) == 4


@pytest.mark.parametrize("end", ["", "!"], ids=["same", "nearly the same"])
def test_of_one_input_the_wrong_answer_goes_first(end: str) -> None:
    """Without a floor too: a good answer, else one that nobody rated, is kept before one that was found wrong."""
    for wrong in "abcd":  # whatever the order of their hashes
        bad, good = rated(text(0) + end, False, wrong), rated(text(0), True, "fine")
        assert contents(curate([bad, good], QUIET)) == contents(curate([good], QUIET))
        unrated = example(text(0), "unknown")
        assert contents(curate([bad, unrated], QUIET)) == contents(curate([unrated], QUIET))


PARCEL = (
    "The parcel with order number 4711 came on Tuesday, but the box was wet and one of the cups is broken: who pays?"
)


@pytest.mark.parametrize(
    "other",
    [
        PARCEL.replace("Tuesday", "Monday"),
        PARCEL.upper(),
        PARCEL.replace("w", "ｗ"),  # full width
        PARCEL + " ",
        PARCEL.replace("e", "e\u0301", 1),
    ],
)
def test_near_duplicates_are_one(other: str) -> None:
    """A word's difference, case, width of letters: the input is the same to a reader."""
    curated = curate([example(PARCEL), example(other)], QUIET)
    assert len(curated.kept) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"document": PARCEL * 20, "question": "Who pays?"}, {"document": PARCEL * 20, "question": "What broke?"}),
        ({"text": PARCEL, "stars": 1}, {"text": PARCEL, "stars": 5}),
        ({"text": PARCEL}, {"text": PARCEL, "urgent": True}),
        ({"text": "yes"}, {"text": "no"}),
        ({"text": "What is the capital of France?"}, {"text": "What is the capital of Spain?"}),
        ({"a": "x", "b": "y"}, {"a": "y", "b": "x"}),
        ({"text": ""}, {"text": "a"}),
        ({}, {"text": "a"}),
        ({"text": "\ud800"}, {"text": "\ud801"}),
        ({"items": ["one", "two"]}, {"items": ["three", "four"]}),
    ],
)
def test_what_differs_in_one_field_is_no_near_duplicate(one: Any, other: Any) -> None:
    """A long document that two inputs share does not make them one."""
    both = [replace(example("q"), inputs=inputs) for inputs in (one, other)]
    assert len(curate(both, QUIET).kept) == 2


def test_ignored_fields_make_no_other_input() -> None:
    """A request's id is no difference when it is said to be none."""
    both = [replace(example("q"), inputs={"text": PARCEL, "id": at}) for at in range(2)]
    assert len(curate(both, QUIET).kept) == 2
    assert curate(both, replace(QUIET, ignore=("id",))).dropped == {"duplicate": 1}


def _shingles(one: str) -> set[str]:
    return {one[at : at + 5] for at in range(len(one) - 4)}


def test_near_duplicates_agree_with_all_pairs() -> None:
    """Clear cases are as counting shingles says: resemblance above 0.88 is found, below 0.68 is kept."""
    draw, near, apart = random.Random(5), 0, 0
    for trial in range(150):
        one = text(trial, 400)
        letters = list(one)
        for at in draw.sample(range(400), draw.randrange(1, 40)):
            letters[at] = draw.choice("0123456789")
        other = "".join(letters)
        mine, theirs = _shingles(" ".join(one.casefold().split())), _shingles(" ".join(other.casefold().split()))
        resemblance = len(mine & theirs) / len(mine | theirs)
        kept = len(curate([example(one), example(other)], QUIET).kept)
        if resemblance > 0.88:
            assert kept == 1, resemblance
            near += 1
        if resemblance < 0.68:
            assert kept == 2, resemblance
            apart += 1
    assert min(near, apart) >= 10


def test_ten_thousand_alike_are_one() -> None:
    """Many near-duplicates of one input are compared with the one that is kept, not with each other."""
    examples = [example(f"{PARCEL} {PARCEL[::-1]} {at:04}") for at in range(2_000)]
    assert len(curate(examples, QUIET).kept) < 10
