"""What curation keeps, what it drops, and what it says of it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.curation import FLOOR, QUIET, contents, example, text
from t0dspy.errors import SettingsError
from t0dspy.flywheel.curate.curate import Cap, Curated, CurateOptions, Schemas, curate, steps
from t0dspy.flywheel.curate.diversity import keep_diverse
from t0dspy.flywheel.example import PulledExample

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
    """The example stays; a stage of an earlier contract, or of a removed predictor, does not become a demo."""
    stages = [replace(example(question), predictor=name) for name, question in (("a", "q"), ("a", 1), ("gone", "q"))]
    one = example("q", stages=tuple(stages))
    schemas = replace(SCHEMAS, stages={"a": SCHEMAS})
    curated = curate([one], QUIET, schemas=schemas)
    assert curated.kept[0].stages == (stages[0],)
    assert curated.changed == {"stage left out: does not fit its contract": 2}
    assert curate([one], QUIET, schemas=SCHEMAS).kept == [one]


def test_each_step_stands_alone() -> None:
    """A step is a function from examples to those kept, in their order, and the others counted."""
    examples = [example(text(at)) for at in range(10)]
    chain = list(steps(CurateOptions(floor={"accepted": 1}), SCHEMAS, str))
    assert len(chain) > 5
    for step in chain:
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
