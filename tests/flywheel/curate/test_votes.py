"""One rater, one vote: how ratings and corrections of several people are counted."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t0dspy.errors import SettingsError
from t0dspy.flywheel.curate.curate import CurateOptions, curate
from t0dspy.flywheel.curate.raters import weigh_votes
from t0dspy.flywheel.curate.votes import agreed_value, losing_sides, support
from t0dspy.flywheel.example import Feedback, PulledExample

OPTIONS = CurateOptions(caps=(), limit=None)


def said(metric: str, value: Any, rater: str | None, at: int = 0) -> Feedback:
    return Feedback(metric, value, rater, f"feedback-{at:06}", "2026-01-01T00:00:00.000Z")


def heard(*feedback: Feedback, user: str | None = None, question: str = "q", id: str = "1") -> PulledExample:
    """An inference with feedback, as a pull gives it: the latest value of each metric, the latest correction."""
    latest = {one.metric: one.value for one in feedback}
    correction = latest.pop("demonstration", None)
    return PulledExample(
        inputs={"question": question},
        outputs=correction or {"answer": "model"},
        model_outputs={"answer": "model"},
        metrics={name: value for name, value in latest.items() if name != "comment"},
        comments=[one.value for one in feedback if one.metric == "comment"],
        demonstration=correction is not None,
        inference_id=id,
        tags={"user_id": user} if user else {},
        feedback=feedback,
    )


def one_of(*examples: PulledExample, **options: Any) -> PulledExample | None:
    kept = curate(examples, replace(OPTIONS, **options)).kept
    return kept[0] if kept else None


def test_one_rater_does_not_overwrite_twelve() -> None:
    """The last of thirteen ratings is one of thirteen; whoever gives it ten more times is still one."""
    twelve = [said("good", True, f"u{at}", at) for at in range(12)]
    loud = [said("good", False, "loud", 100)]
    found = curate([heard(*twelve, *loud)], OPTIONS)
    assert found.kept[0].metrics == {"good": True}
    assert found.changed == {"rating left out: most raters say otherwise": 1}


def test_a_stranger_does_not_correct_a_callers_answer() -> None:
    """Unless trusted, or where the settings let anyone; the caller's own correction counts."""
    theirs = heard(said("demonstration", {"answer": "evil"}, "mallory"), user="ann")
    found = curate([theirs], OPTIONS)
    assert (found.kept[0].outputs, found.kept[0].demonstration) == ({"answer": "model"}, False)
    assert found.changed == {"correction left out: its rater is neither the caller nor trusted": 1}
    for options in ({"trusted_raters": ("mallory",)}, {"corrections": "anyone"}):
        assert one_of(theirs, **options).outputs == {"answer": "evil"}  # type: ignore[union-attr]
    own = heard(said("demonstration", {"answer": "right"}, "ann"), user="ann")
    assert one_of(own).outputs == {"answer": "right"}  # type: ignore[union-attr]
    trusted = {"corrections": "trusted", "trusted_raters": ("expert",)}
    assert one_of(own, **trusted).demonstration is False  # type: ignore[union-attr]


def test_a_later_stranger_does_not_hide_the_callers_correction() -> None:
    """The latest correction of those who may correct counts, not the latest of all."""
    both = heard(
        said("demonstration", {"answer": "right"}, "ann", 1),
        said("demonstration", {"answer": "evil"}, "mallory", 2),
        user="ann",
    )
    assert one_of(both).outputs == {"answer": "right"}  # type: ignore[union-attr]


def test_an_inference_without_a_user_may_be_corrected_without_a_name() -> None:
    """Where nobody is known, the caller is taken to have spoken; a stranger with a name is a stranger."""
    assert one_of(heard(said("demonstration", {"answer": "b"}, None))).demonstration is True  # type: ignore[union-attr]
    assert one_of(heard(said("demonstration", {"answer": "b"}, "x"))).demonstration is False  # type: ignore[union-attr]


def test_500_thumbs_up_of_one_do_not_veto_three_thumbs_down() -> None:
    """The three stay with their verdict, and the other way round as well."""
    for loud, others in ((True, False), (False, True)):
        examples = [heard(said("good", loud, "loud", at), user="loud", id=f"l{at}") for at in range(500)]
        examples += [heard(said("good", others, f"u{at}"), user=f"u{at}", id=f"u{at}") for at in range(3)]
        found = curate(examples, OPTIONS)
        assert [one.metrics["good"] for one in found.kept] == [others]
        assert found.dropped == {"contradiction: opposite ratings of one answer": 500, "duplicate": 2}


def test_a_stranger_does_not_veto_the_callers_word() -> None:
    """One against one: the caller's verdict on the answer that the caller got."""
    both = heard(said("good", True, "ann", 1), said("good", False, "mallory", 2), user="ann")
    assert one_of(both).metrics == {"good": True}  # type: ignore[union-attr]
    callers = [
        heard(said("good", True, "ann", 1), user="ann", id="1"),
        heard(said("good", False, "bob", 2), user="bob", id="2"),
    ]
    assert one_of(*callers) is None


def test_a_lone_correction_does_not_veto_two_that_agree() -> None:
    """Of three callers with one input, two say the same; of two that differ nobody knows who is right."""
    right = [heard(said("demonstration", {"answer": "right"}, f"u{at}"), user=f"u{at}", id=str(at)) for at in (1, 2)]
    evil = heard(said("demonstration", {"answer": "evil"}, "m"), user="m", id="3")
    found = curate([*right, evil], OPTIONS)
    assert [one.outputs for one in found.kept] == [{"answer": "right"}]
    assert found.dropped == {"contradiction: other raters corrected it otherwise": 1, "duplicate": 1}
    assert curate([right[0], evil], OPTIONS).kept == []
    assert one_of(right[0], evil, trusted_raters=("u1",)).outputs == {"answer": "right"}  # type: ignore[union-attr]


def test_trusted_raters_outvote_any_number_of_names() -> None:
    """A hundred accounts of one person are nothing against one trusted rater; alone they are a crowd."""
    crowd = [heard(said("good", True, f"sock{at}"), user=f"sock{at}", id=str(at)) for at in range(100)]
    expert = heard(said("good", False, "expert"), user="ann", id="x")
    found = curate([*crowd, expert], replace(OPTIONS, trusted_raters=("expert",)))
    assert [one.metrics["good"] for one in found.kept] == [False]
    assert one_of(*crowd, expert).metrics == {"good": True}  # type: ignore[union-attr]


def test_of_a_raters_comments_the_latest_stays() -> None:
    """A thousand comments of one person are one comment."""
    many = [said("comment", f"no. {at}", "loud", at) for at in range(1000)]
    example = heard(*many, said("comment", "too long", "ann", 5000), user="ann")
    found = one_of(example, corrections="anyone")
    assert found is not None
    assert list(found.comments) == ["no. 999", "too long"]
    curated = curate([example], OPTIONS)
    assert list(curated.kept[0].comments) == ["too long"]
    assert curated.changed == {"comment left out: its rater is neither the caller nor trusted": 1000}


def test_a_rater_of_strangers_answers_is_capped() -> None:
    """Whose inference it was does not matter: what rests on one rater's word alone is at most a fifth, or 20."""

    def rated(at: int, rater: str) -> PulledExample:
        return heard(said("good", True, rater), user=f"u{at}", id=str(at), question=f"{at} {hash(str(at))} {rater}" * 3)

    examples = [rated(at, "loud") for at in range(300)] + [rated(at, f"r{at}") for at in range(300, 460)]
    options = CurateOptions(limit=None, similarity=1.0)
    found = curate(examples, options)
    raters = Counter(one.feedback[0].rater for one in found.kept)
    assert raters["loud"] == 40
    assert found.dropped == {"over the cap of rater": 260}
    assert len(curate(examples, replace(options, trusted_raters=("loud",))).kept) == 460


# Properties.

RATERS = ["a", "b", "c", "d", None]
FEEDBACK = st.lists(
    st.tuples(st.sampled_from(["good", "demonstration"]), st.booleans(), st.sampled_from(RATERS)), max_size=6
)
USERS = st.sampled_from(["a", "b", None])
OPTION = st.sampled_from(
    [OPTIONS, replace(OPTIONS, corrections="anyone"), replace(OPTIONS, trusted_raters=("d",), corrections="trusted")]
)


def made(number: int, feedback: list[tuple[str, bool, str | None]], user: str | None) -> PulledExample:
    latest = {}
    for at, (metric, value, rater) in enumerate(feedback):
        shown: Any = {"answer": str(value)} if metric == "demonstration" else value
        latest[metric, rater or user] = said(metric, shown, rater or user, at)
    return heard(*sorted(latest.values(), key=lambda one: one.feedback_id), user=user, id=str(number))


@given(st.lists(st.tuples(FEEDBACK, USERS), max_size=6), OPTION, st.data())
def test_the_order_of_rows_says_nothing(rows: list[Any], options: CurateOptions, data: st.DataObject) -> None:
    """Of inferences, and of the feedback on one."""
    examples = [made(number, *row) for number, row in enumerate(rows)]
    found = curate(examples, options)
    assert found == curate(data.draw(st.permutations(examples)), options)
    mixed = [replace(one, feedback=data.draw(st.permutations(one.feedback))) for one in examples]
    assert [(one.outputs, one.metrics) for one in curate(mixed, options).kept] == [
        (one.outputs, one.metrics) for one in found.kept
    ]


@given(
    st.lists(st.tuples(st.sampled_from(RATERS), st.sampled_from("xyz")), max_size=20), st.lists(st.sampled_from("xyz"))
)
def test_a_vote_counts_the_same_whatever_another_rater_does(votes: list[Any], more: list[str]) -> None:
    """What each side has of the others does not change, and one rater adds one vote however often they speak."""
    others = [vote for vote in votes if vote[0] != "a"]
    before = support(others)
    after = support([*others, *(("a", side) for side in more)])
    added = {side: after[side] - before.get(side, 0.0) for side in after}
    assert all(number >= -1e-9 for number in added.values())
    assert sum(added.values()) == pytest.approx(1.0 if more else 0.0)


@given(st.dictionaries(st.sampled_from("xyz"), st.integers(1, 9), min_size=1), st.sampled_from("xyz"))
def test_more_raters_never_make_a_side_lose(sides: dict[str, int], side: str) -> None:
    """A side that won wins with one rater more, and nobody vetoes alone what two agree on."""
    if side in sides and side not in losing_sides(sides, 0.2):
        assert side not in losing_sides({**sides, side: sides[side] + 1}, 0.2)
    if len(sides) == 1:
        assert losing_sides(sides, 0.2) == set()
    (largest,) = Counter(sides).most_common(1)
    if sum(sides.values()) - largest[1] == 1 and largest[1] >= 2:
        assert losing_sides(sides, 0.2) == set(sides) - {largest[0]}


@given(st.lists(st.booleans(), min_size=1))
def test_a_boolean_is_what_most_say(values: list[bool]) -> None:
    """A draw is no, unless the caller said yes."""
    yes, no = values.count(True), values.count(False)
    assert agreed_value(values) is (yes > no)
    assert agreed_value(values, True) is (yes >= no and yes > 0)


def test_stages_are_weighed_with_the_callers_of_their_run() -> None:
    """A correction of a stage by the run's own user counts, though the stage has no tags."""
    stage = replace(heard(said("demonstration", {"answer": "s"}, "ann")), predictor="plan")
    run = replace(heard(said("good", True, "ann"), user="ann"), stages=(stage,))
    (kept,) = weigh_votes([run], OPTIONS).kept
    assert kept.stages[0].demonstration is True
    (kept,) = weigh_votes([replace(run, tags={"user_id": "bob"})], OPTIONS).kept
    assert kept.stages[0].demonstration is False


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("corrections", "everyone"),
        ("corrections", "trusted"),
        ("trusted_raters", "ann"),
        ("trusted_raters", [""]),
        ("rater_tag", ""),
        ("demo_characters", -1),
    ],
)
def test_wrong_options_are_named(option: str, value: Any) -> None:
    """Each with what would be right."""
    with pytest.raises(SettingsError, match=option):
        CurateOptions(**{option: value})
