"""The example's program compiles, and the gateway sends what DSPy sends."""

from pathlib import Path

import dspy

import t0dspy
from examples.spec_to_review.optimize import DATA, load
from examples.spec_to_review.program import MOST_SECTIONS, Function, Section, name_of
from support.example import Run, advised

PROGRAM = "examples.spec_to_review.program:spec_to_review"
CONTRACT = "examples.spec_to_review.program:Contract"
CONFIG = """
[models.main]
routing = ["p"]

[models.main.providers.p]
type = "openai"
model_name = "offline"
api_base = "http://offline-model:8200/v1"
api_key_location = "none"
"""


def test_it_exports_with_wire_equality(tmp_path: Path) -> None:
    """With optimized instructions and demos; the demo does it with the other text and demos as turns."""
    (tmp_path / "tensorzero.toml").write_text(CONFIG)
    state = tmp_path / "state.json"
    program = advised()
    two = [Function(signature=f"{name}(x)", requirements=[], examples=[]) for name in "ab"]
    sections = [Section(title=name, functions=[name]) for name in "ab"]
    program.plan.demos = [dspy.Example(augmented=True, functions=two, sections=sections)]
    program.save(str(state))
    found = t0dspy.export(
        PROGRAM, tmp_path, state=state, model="main", signature=CONTRACT, adapter="json", demos="system", dry_run=True
    )
    assert found.parity is not None
    assert found.parity.equal
    assert {one.path for one in found.parity.predictors} == {
        "parse_spec",
        "plan",
        "write_code",
        "write_tests",
        "review_all",
    }


def test_specifications_of_all_sizes_take_the_same_way(ask: Run) -> None:
    """As many sections as the plan has, up to the most that it may have."""
    texts = "".join(f"Please write `f{at}(words)`. `words` is a list of strings. Count them.\n\n" for at in range(25))
    made = ask(advised(), texts)
    assert len(made.functions) == 25
    assert len(made.sections) == MOST_SECTIONS
    assert made.code.count("def ") == MOST_SECTIONS


def test_names_are_read_from_signatures() -> None:
    """With or without parameters."""
    for text, name in (("f(a, b)", "f"), ("g()", "g"), (" h ", "h")):
        assert name_of(Function(signature=text, requirements=[], examples=[])) == name


def test_hidden_fields_of_the_data_stay_hidden_in_dspy() -> None:
    """An example shows its specification and nothing else."""
    example = load(DATA / "train.jsonl", 1)[0]
    assert list(example.keys()) == ["spec"]
    assert "hidden" not in repr(example)
    assert example["dspy_hidden_tests"]
