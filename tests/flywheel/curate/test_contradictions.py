"""Contradictory ratings and demonstrations are dropped or outvoted."""

from dataclasses import replace

from support.curation import FLOOR, QUIET, contents, demonstrated, example, rated
from t0dspy.flywheel.curate.curate import curate


# Contradictions and the floor.
def test_different_demonstrations_of_one_input_are_dropped() -> None:
    """Nobody knows which is right; spelling of Unicode and blanks makes no other input."""
    first, second = demonstrated("Ünder  way", "a"), demonstrated("U\u0308nder way\n", "b")
    curated = curate([first, second, demonstrated("other", "a")], QUIET)
    assert contents(curated) == [({"question": "other"}, {"answer": "a"})]
    assert curated.dropped == {"contradiction: different demonstrations of one input": 2}
    assert len(curate([first, replace(second, outputs={"answer": " a"})], QUIET).kept) == 1


def test_opposite_ratings_of_one_answer_are_dropped() -> None:
    """One thumb up and one down on the same answer teach nothing; on different answers they do."""
    curated = curate([rated("q", True, user="a"), rated("q", False, user="b")], FLOOR)
    assert curated.dropped == {"contradiction: opposite ratings of one answer": 2}
    curated = curate([rated("q", True, "good"), rated("q", False, "bad")], FLOOR)
    assert contents(curated) == [({"question": "q"}, {"answer": "good"})]
    assert curated.dropped == {"below the floor of accepted": 1}


def test_a_few_are_outvoted_and_a_person_has_one_vote() -> None:
    """One of ten people is outvoted; one person who says it ninety times is not nine of ten."""
    ten = [rated("q", at > 0, user=f"u{at}", inference_id=str(at)) for at in range(10)]
    curated = curate(ten, FLOOR)
    assert len(curated.kept) == 1
    assert curated.dropped == {"contradiction: opposite ratings of one answer": 1, "duplicate": 8}
    loud = [rated("q", True, user="loud", inference_id=str(at)) for at in range(90)]
    assert curate([*loud, rated("q", False, user="b")], FLOOR).kept == []


def test_numbers_contradict_where_a_floor_divides_them() -> None:
    """0.9 and 0.2 on one answer are opposite where the floor is 0.5, and say nothing where there is none."""
    both = [example("q", metrics={"score": 0.9}, inference_id="1"), example("q", metrics={"score": 0.2})]
    assert curate(both, replace(FLOOR, floor={"score": 0.5})).kept == []
    assert len(curate(both, QUIET).kept) == 1


def test_a_demonstration_stands_whatever_the_answer_got() -> None:
    """A correction comes with a thumb down; the thumb is about the model's answer, which it replaces."""
    corrected = demonstrated("q", "right", metrics={"accepted": False})
    model = rated("q", True, "model", inference_id="2")
    curated = curate([corrected, model], FLOOR)
    assert contents(curated) == [({"question": "q"}, {"answer": "right"})]
    assert curate([corrected], FLOOR).kept == [corrected]
