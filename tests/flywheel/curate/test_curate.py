"""What curation keeps, what it drops, and what it says of it."""

import random
import string
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t0dspy.errors import ProgramError, SettingsError
from t0dspy.flywheel.curate.caps import allowance
from t0dspy.flywheel.curate.curate import Cap, Curated, CurateOptions, Schemas, curate, steps
from t0dspy.flywheel.curate.diversity import keep_diverse
from t0dspy.flywheel.example import PulledExample

QUIET = CurateOptions(caps=(), limit=None)
FLOOR = CurateOptions(caps=(), limit=None, floor={"accepted": 1}, gold="required")


def text(seed: int, size: int = 80) -> str:
    return "".join(random.Random(seed).choices(string.ascii_letters + "  ", k=size))


def example(question: Any, answer: Any = "a", user: str | None = None, **more: Any) -> PulledExample:
    given = {"outputs": {"answer": answer}, "model_outputs": {"answer": answer}, **more}
    return PulledExample(inputs={"question": question}, tags={"user_id": user} if user else {}, **given)


def rated(question: Any, value: bool, answer: Any = "a", user: str | None = None, **more: Any) -> PulledExample:
    return example(question, answer, user, metrics={"accepted": value}, **more)


def demonstrated(question: Any, answer: Any, **more: Any) -> PulledExample:
    return example(question, answer, demonstration=True, **{"model_outputs": {"answer": "model"}, **more})


def contents(curated: Curated) -> list[Any]:
    return [(one.inputs, one.outputs) for one in curated.kept]


# Order and count.


EXAMPLES = st.builds(
    lambda question, answer, user, variant, accepted, demonstration, at: example(
        text(question) + "!" * (at % 2),
        answer,
        user,
        variant=variant,
        metrics={} if accepted is None else {"accepted": accepted},
        demonstration=demonstration,
        inference_id=str(at),
    ),
    st.integers(0, 12),
    st.sampled_from("ab"),
    st.sampled_from([None, "u1", "u2", "u3"]),
    st.sampled_from(["v1", "v2"]),
    st.sampled_from([None, True, False]),
    st.booleans(),
    st.integers(0, 99),
)
TIGHT = CurateOptions(caps=(Cap("tags.user_id", 0.3, 2), Cap("variant", 0.6, 3)), limit=6, floor={"accepted": 1})


@settings(max_examples=100, deadline=None)
@given(examples=st.lists(EXAMPLES, max_size=25), gold=st.sampled_from(["none", "required"]), data=st.data())
def test_order_of_arrival_says_nothing(examples: list[PulledExample], gold: Any, data: st.DataObject) -> None:
    """The same examples in another order are curated alike, and every example is kept or counted."""
    options = replace(TIGHT, gold=gold)
    curated = curate(examples, options)
    assert curated == curate(data.draw(st.permutations(examples)), options)
    assert len(curated.kept) + sum(curated.dropped.values()) == len(examples)
    assert len(curated.kept) <= 6


@settings(max_examples=50, deadline=None)
@given(examples=st.lists(EXAMPLES, max_size=25))
def test_what_is_curated_stays(examples: list[PulledExample]) -> None:
    """Curating what was kept once more drops nothing."""
    curated = curate(examples, replace(TIGHT, gold="required"))
    again = curate(curated.kept, replace(TIGHT, gold="required"))
    assert (again.kept, again.dropped) == (curated.kept, {})


def test_a_line_pulled_twice_is_one() -> None:
    """Two windows that overlap do no harm, the same object twice neither."""
    one = example("a", inference_id="1")
    assert curate([one, one, replace(one)], QUIET) == Curated([one], {"pulled twice": 2}, {})
    assert curate([], QUIET) == Curated([], {}, {})


def test_a_seed_gives_an_order_and_a_choice() -> None:
    """Another seed, another sample of the same size; the same seed, the same one."""
    examples = [example(text(at)) for at in range(60)]
    options = replace(QUIET, limit=20)
    assert curate(examples, options) == curate(examples, options)
    other = curate(examples, replace(options, seed=1))
    assert len(other.kept) == 20
    assert contents(other) != contents(curate(examples, options))


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


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ({}, "unrated"),
        ({"other": 1.0}, "unrated"),
        ({"accepted": False}, "below the floor of accepted"),
        ({"accepted": True, "score": 0.3}, "below the floor of score"),
        ({"accepted": True}, None),
        ({"score": 0.5}, None),
    ],
)
def test_the_floor(metrics: Any, reason: str | None) -> None:
    """An answer counts when all the floor's metrics it has reach it, and it has one; else its input alone may stay."""
    options = replace(FLOOR, floor={"accepted": 1, "score": 0.5})
    one = example("q", metrics=metrics)
    assert curate([one], options).dropped == ({} if reason is None else {reason: 1})
    curated = curate([one], replace(options, gold="none"))
    assert curated.kept == [one if reason is None else replace(one, outputs=None)]
    assert curated.changed == ({} if reason is None else {f"answer left out: {reason}": 1})


def test_without_an_answer_there_is_no_gold() -> None:
    """A failed parse is an input to judge by, and no gold."""
    one = example("q", outputs=None, model_outputs=None)
    assert curate([one], QUIET).kept == [one]
    assert curate([one], replace(QUIET, gold="required")).dropped == {"no answer": 1}


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
    draw = random.Random(5)
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
        if resemblance < 0.68:
            assert kept == 2, resemblance


def test_ten_thousand_alike_are_one() -> None:
    """Many near-duplicates of one input are compared with the one that is kept, not with each other."""
    examples = [example(f"{PARCEL} {PARCEL[::-1]} {at:04}") for at in range(2_000)]
    assert len(curate(examples, QUIET).kept) < 10


# Diversity.


def test_the_rare_is_kept_and_the_common_stays_common() -> None:
    """Of 300 of one kind and 5 others, 20 are chosen: all the others are among them, and half are the common."""
    common = [example({"all": "Where is my order? It is late, again. " * 3, "at": text(at, 40)}) for at in range(300)]
    rare = [example(text(at, 200)) for at in range(5)]
    sieved = keep_diverse([*common, *rare], 20)
    assert len(sieved.kept) == 20
    assert all(one in sieved.kept for one in rare)
    assert sieved.kept[:10] == common[:10]
    assert sieved.dropped == {"more than the limit": 285}
    assert keep_diverse(common, 300).kept == common
    assert keep_diverse(common, 1).kept == common[:1]


# Schemas.


SCHEMAS = Schemas(
    {"type": "object", "properties": {"question": {"type": "string"}}, "required": ["question"]},
    {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]},
)


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (example("q"), None),
        (example("q", outputs=None), None),
        (example(1), "input does not fit the contract"),
        (replace(example("q"), inputs={}), "input does not fit the contract"),
        (example("q", 1), "output does not fit the contract"),
        (example("q", outputs={}), "output does not fit the contract"),
    ],
)
def test_what_does_not_fit_the_contract_is_dropped(one: PulledExample, reason: str | None) -> None:
    """And counted by what does not fit."""
    assert curate([one], QUIET, schemas=SCHEMAS).dropped == ({} if reason is None else {reason: 1})


def test_stages_that_do_not_fit_are_left_out() -> None:
    """The example stays; a stage of an earlier contract, or of a predictor that is gone, is no demo."""
    stages = [replace(example(question), predictor=name) for name, question in (("a", "q"), ("a", 1), ("gone", "q"))]
    one = example("q", stages=tuple(stages))
    schemas = replace(SCHEMAS, stages={"a": SCHEMAS})
    curated = curate([one], QUIET, schemas=schemas)
    assert curated.kept[0].stages == (stages[0],)
    assert curated.changed == {"stage left out: does not fit its contract": 2}
    assert curate([one], QUIET, schemas=SCHEMAS).kept == [one]


# Redaction.


SECRET = "sk-123"


def _full() -> PulledExample:
    stage = replace(example({"deep": [SECRET]}), predictor="a", comments=(SECRET,))
    return example({"deep": [SECRET, 1]}, {"x": SECRET}, comments=[f"why {SECRET}"], stages=(stage,))


def test_redaction_reaches_every_text() -> None:
    """Inputs, outputs, comments and stages, however deep; numbers stay."""
    curated = curate([_full()], QUIET, redact=lambda one: one.replace(SECRET, "[key]"))
    assert SECRET not in curated.kept[0].to_line()
    assert curated.kept[0].inputs == {"question": {"deep": ["[key]", 1]}}
    assert curated.changed == {"redacted": 1}
    assert curate([example("q")], QUIET, redact=str).changed == {}


def test_redaction_comes_before_the_contract() -> None:
    """A label that redaction spoils is dropped, not kept as it was."""
    schemas = Schemas({}, {"properties": {"answer": {"enum": ["alice"]}}})
    assert curate([example("q", "alice")], QUIET, schemas=schemas, redact=lambda one: "x").kept == []


@pytest.fixture
def privacy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "def good(text): return 'x'\ndef bad(text): raise ValueError(text)\ndef none(text): pass\nnumber = 1\n"
    (tmp_path / "some_privacy.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "some_privacy", raising=False)


@pytest.mark.usefixtures("privacy")
@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("bad", SettingsError, "raised ValueError"),
        ("none", SettingsError, "returned NoneType"),
        ("number", SettingsError, "is a int"),
        ("missing", ProgramError, "missing"),
    ],
)
def test_a_redaction_that_fails_stops_everything(name: str, error: type[Exception], says: str) -> None:
    """Nothing goes on without it, and the error holds none of the text."""
    with pytest.raises(error, match=says) as caught:
        curate([_full()], replace(QUIET, redact=f"some_privacy:{name}"))
    assert SECRET not in str(caught.value)


@pytest.mark.usefixtures("privacy")
def test_redaction_by_name() -> None:
    """The settings name the function."""
    assert curate([example("q")], replace(QUIET, redact="some_privacy:good")).kept[0].inputs == {"question": "x"}


def test_each_step_stands_alone() -> None:
    """A step is a function from examples to those kept, in their order, and the others counted."""
    examples = [example(text(at)) for at in range(10)]
    for step in steps(CurateOptions(floor={"accepted": 1}), SCHEMAS, str):
        sieved = step(examples)
        assert len(sieved.kept) + sum(sieved.dropped.values()) == 10


# Options.


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"floor": {"accepted": True}}, "floor, accepted: is True"),
        ({"floor": {"score": "0.5"}}, "floor, score: is '0.5'"),
        ({"tolerance": 0.5}, "tolerance: is 0.5"),
        ({"similarity": 0}, "similarity: is 0"),
        ({"similarity": float("nan")}, "similarity: is nan"),
        ({"ignore": "id"}, "ignore: is 'id'"),
        ({"user_tag": ""}, "user_tag: is ''"),
        ({"limit": -1}, "limit: is -1"),
        ({"limit": "many"}, "limit: is 'many'"),
        ({"seed": 1.5}, "seed: is 1.5"),
    ],
)
def test_a_wrong_option_is_named(options: Any, says: str) -> None:
    """With its value and what to write, before anything is curated."""
    with pytest.raises(SettingsError) as caught:
        CurateOptions(**options)
    assert says in str(caught.value)


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
