"""The parts of a pull that decide without a database."""

import json
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.production import threads
from support.stack import wait_until
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.pull.arms import arm, shares_in
from t0dspy.flywheel.pull.examples import apportioned
from t0dspy.flywheel.pull.reader import Reader
from t0dspy.flywheel.pull.schema_check import fits
from t0dspy.warehouse.prefetch import prefetch
from t0dspy.warehouse.production import Portion, joined
from t0dspy.warehouse.questions import question

PARTS = st.sampled_from(
    [
        {"type": "string"},
        {"type": "integer"},
        {"type": "number", "default": 0.5},
        {"type": "boolean"},
        {"type": "null"},
        {"type": "string", "maxLength": 2},
        {"type": "integer", "minimum": -5, "maximum": 5},
        {"enum": ["a", "b"]},
        {"enum": [1, "a"]},
        {"type": "array", "items": {"type": "integer"}},
        {"type": "array", "items": {"$ref": "#/$defs/One"}},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"$ref": "#/$defs/One"},
        {},
    ]
)
DEFINED = {"One": {"type": "object", "properties": {"x": {"type": "number"}}, "additionalProperties": False}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False) | st.text("abx"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abx"), inner, max_size=2),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from("abc"), PARTS), st.sets(st.sampled_from("abc")), JSON)
def test_fits_as_jsonschema_says(parts: dict[str, Any], required: set[str], value: Any) -> None:
    """The fast validator gives the answers of `jsonschema`."""
    schema = {
        "type": "object",
        "properties": parts,
        "required": sorted(required & parts.keys()),
        "additionalProperties": False,
        "$defs": DEFINED,
    }
    assert fits(schema)(value) == jsonschema.Draft202012Validator(schema).is_valid(value)


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"x": {"y": [float("-inf")]}}])
def test_what_json_cannot_hold_does_not_fit(value: Any) -> None:
    for part in ({}, {"type": "number"}, {"type": "object"}, {"type": "array"}):
        assert not fits({"properties": {"a": part}})({"a": value})


def test_a_deeply_nested_value_is_checked() -> None:
    """A logged answer may be nested as deeply as Python reads JSON, and does not stop a pull."""
    check = fits({"type": "object", "properties": {"a": {}}})
    for innermost, expected in (("1", True), ("NaN", False)):
        assert check({"a": json.loads("[" * 900 + innermost + "]" * 900)}) is expected


def test_half_a_surrogate_pair_is_a_character() -> None:
    """As `jsonschema` counts it, wherever it stands in a value."""
    check = fits({"properties": {"a": {"maxLength": 1}, "b": {"enum": ["x"]}}, "additionalProperties": False})
    assert check({"a": "\ud800"})
    assert not check({"a": "\ud800\ud800"})
    assert not check({"b": "\ud800"})
    assert not check({"\ud800": 1})


@given(st.lists(st.integers(1, 50), max_size=20), st.integers(1, 300), st.integers(1, 60))
def test_portions_for_a_limit(numbers: list[int], limit: int, rows: int) -> None:
    """Joined portions hold all that the single ones do, in order, and no more of the sample than fits."""
    single = [Portion(at * 100, at * 100 + 99, number) for at, number in enumerate(numbers)]
    found, total = joined(single, limit, rows), sum(numbers)
    assert sum(one.number for one in found) == total
    assert [one.offset for one in found] == [sum(x.number for x in found[:at]) for at in range(len(found))]
    assert all(a.last < b.first for a, b in pairwise(found))
    if found:
        assert (found[0].first, found[-1].last) == (single[0].first, single[-1].last)
    for one in found:
        assert one.number <= max(numbers) or one.number * min(limit, total) <= rows * total


@given(st.none() | st.integers(1, 100), st.lists(st.integers(0, 40), min_size=1, max_size=4))
def test_a_limit_is_apportioned(limit: int | None, totals: list[int]) -> None:
    """It is the limit altogether, never more than there are, and fair to one."""
    found, everything = apportioned(limit, totals), sum(totals)
    assert sum(found) == min(everything if limit is None else limit, everything)
    for taken, there in zip(found, totals, strict=True):
        assert 0 <= taken <= there
        assert abs(taken * everything - there * sum(found)) <= everything


@given(st.dictionaries(st.sampled_from(["v1", "v2", "v10"]), st.floats(0.01, 1), min_size=1), st.uuids())
def test_an_arm_is_one_of_the_candidates(shares: dict[str, float], episode: Any) -> None:
    """Always the same, and whatever the sum of the shares."""
    drawn = arm("f", str(episode), shares)
    assert drawn in shares
    assert arm("f", str(episode), {name: share * 2 for name, share in shares.items()}) == drawn


def test_shares_in_a_config() -> None:
    """Fixed shares, a list of equals, or none that could be told."""
    text = '[functions.f.experimentation]\ntype = "{}"\ncandidate_variants = {}\n'
    assert shares_in(text.format("static", "{v1 = 0.9, v2 = 0.1}"), "f") == {"v1": 0.9, "v2": 0.1}
    assert shares_in(text.format("static", '["v1", "v2"]'), "f") == {"v1": 1, "v2": 1}
    for nothing in ("", "not = toml = at all", text.format("adaptive", '["v1"]'), text.format("static", "{}")):
        assert shares_in(nothing, "f") == {}


def test_prefetch() -> None:
    """In order; the next is begun before this one is read; an error comes where its portion would."""
    begun: list[int] = []

    def fetch(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise KeyError("3")
        return number

    results = prefetch(lambda number=number: fetch(number) for number in range(5))
    assert next(results) == 0
    wait_until(lambda: begun == [0, 1])
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(KeyError):
        next(results)
    wait_until(lambda: threads() == 0)
    assert list(prefetch([])) == []


OUTPUTS = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}


@pytest.mark.parametrize(
    "stored",
    ["", "[]", "{}", "null", '{"messages":[]}', '{"messages":[{"content":[{"type":"text","text":"hi"}]}]}', "{" * 5000],
)
def test_inputs_that_are_none(stored: str) -> None:
    assert Reader("json", {"properties": {}}, OUTPUTS).arguments(stored) is None


@pytest.mark.parametrize("kind", ["template", "text"])
def test_inputs_of_older_rows(kind: str) -> None:
    """TensorZero once stored arguments as the value of a text."""
    reader = Reader("json", {"properties": {"q": {"type": "string"}}}, OUTPUTS)
    for key in ("arguments", "value"):
        stored = {"messages": [{"role": "user", "content": [{"type": kind, key: {"q": "x"}}]}]}
        assert reader.arguments(json.dumps(stored)) == {"q": "x"}


def test_inputs_behind_texts() -> None:
    """What DSPy printed in another way than its type is pulled as the value that the program passed."""
    reader = Reader("chat", {"properties": {"q": {"type": "string"}}}, OUTPUTS)
    arguments = {"q": {"t0dspy::text": "None", "t0dspy::value": None}, "r": {"t0dspy::text": None}, "s": 1}
    stored = {"messages": [{"role": "user", "content": [{"type": "template", "arguments": arguments}]}]}
    assert reader.arguments(json.dumps(stored)) == {"q": None, "s": 1}


@pytest.mark.parametrize(
    ("type", "as_json", "text"),
    [
        ("chat", False, "[[ ## answer ## ]]\nyes"),
        ("chat", True, '{"answer": "yes"}'),
        ("xml", False, "<answer>yes</answer>"),
        ("xml", True, '```json\n{"answer": "yes"}\n```'),
    ],
)
def test_answers_are_read_in_the_text_that_was_asked_for(type: Any, as_json: bool, text: str) -> None:
    """DSPy's JSON fallback asks a function of another type for JSON."""
    reader = Reader(type, {"properties": {}}, OUTPUTS)
    stored = json.dumps([{"type": "text", "text": text}])
    assert reader.answer(stored, as_json=as_json) == {"answer": "yes"}
    assert reader.answer(stored, as_json=not as_json) is None


@pytest.mark.parametrize("stored", ["", "null", "[]", "7", '{"raw":null,"parsed":null}', '{"raw":7}', "[" * 5000])
def test_answers_that_are_none(stored: str) -> None:
    assert Reader("json", {"properties": {}}, OUTPUTS).answer(stored) is None
    assert Reader("chat", {"properties": {}}, OUTPUTS).answer(stored) is None


def test_half_a_surrogate_pair_is_written() -> None:
    """UTF-8 lacks it; JSON can say it."""
    line = PulledExample(inputs={"q": "\ud800é"}, outputs=None, model_outputs=None).to_line()
    assert json.loads(line.encode())["inputs"] == {"q": "\ud800é"}


QUESTIONS = [
    "portions",
    "programs",
    "programs_feedback",
    "runs",
    "stages",
    "stages_feedback",
    "stage_load",
    "stages_without_run",
]
BY_MEMBERS = ["programs", "programs_feedback", "runs", "stages", "stages_feedback"]
CONDITIONS = ["late", "graded", "versions", "tag_keys", "metric_names", "sampled"]


@pytest.mark.parametrize("asked", [(), *combinations(CONDITIONS, 1), CONDITIONS], ids=str)
@pytest.mark.parametrize("name", QUESTIONS)
def test_values_are_no_part_of_the_questions(name: str, asked: Sequence[str]) -> None:
    """Values go as ClickHouse's parameters, other questions are whole, and what is not asked for is not there."""
    text = question(name, frozenset(asked))
    assert "/*" not in text
    assert "--" not in text
    assert text.count("(") == text.count(")")
    assert "SETTINGS" not in text  # which a user that only reads may not change
    assert ("QUALIFY" in text) == (name in BY_MEMBERS and "sampled" in asked)
    if name == "portions":
        parts = {"versions": "has({versions", "tag_keys": "{tag_keys", "metric_names": "argMax(f.", "graded": "AS run"}
        parts["late"] = "OR id IN (\nSELECT target_id"
        assert [one for one in parts if parts[one] in text] == [one for one in parts if one in asked]
