"""Types that are hard to print, to describe in a schema or to read back: exported and wire-equal all the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum, IntFlag
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, Optional, TypeVar

import dspy
import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, RootModel, SecretStr, computed_field, field_serializer
from typing_extensions import TypedDict

import t0dspy
from t0dspy import parity
from t0dspy.artifact.exported import ExportedProgram
from t0dspy.parity.report import JSON_FALLBACK, ParityReport

T = TypeVar("T")


class Numbers(RootModel[list[int]]):
    pass


class Pair(NamedTuple):
    z: int
    a: str = "x"


class Area(BaseModel):
    width: int = Field(ge=0, le=100)
    height: int = Field(ge=0, le=100)

    @computed_field
    @property
    def size(self) -> int:
        return self.width * self.height


class Price(BaseModel):
    amount: float
    hidden: str = Field(default="h", exclude=True)

    @field_serializer("amount")
    def _with_unit(self, amount: float) -> str:
        return f"{amount:.2f} EUR"


class Aliases(BaseModel):
    a: int = Field(alias="a-b")
    b: str = Field(default="x", serialization_alias="{{ b }}")
    c: float = Field(default=1e-7, validation_alias="ç")


class Box(BaseModel, Generic[T]):
    item: T
    more: Optional["Box[T]"] = None


class Leaf(BaseModel):
    kind: Literal["leaf"] = "leaf"
    v: float


class Node(BaseModel):
    kind: Literal["node"] = "node"
    kids: list["Tree"]


Tree = Annotated[Leaf | Node, Field(discriminator="kind")]
Node.model_rebuild()


@dataclass
class Chain:
    z: int
    a: Optional["Chain"] = None
    m: dict[str, list[Leaf]] = field(default_factory=dict)


class Mixed(BaseModel):
    model_config = ConfigDict(use_enum_values=True)

    z: str
    o: Any = None
    d: dict = {}
    u: Leaf | list[Leaf] | str | float | None = None
    e: Literal[1, "a", None, True] = 1
    code: str = Field(default="AB-123", pattern=r"^[A-Z]{2}-\d{3,5}$")


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")

    z: int = 0
    a: Leaf | None = None


class Rights(IntFlag):
    READ = 1
    WRITE = 2


class Half(Enum):
    ONE = 0.5
    TWO = 1.5


class Row(TypedDict):
    z: int


TYPES = {
    "a root model": Numbers,
    "a named tuple": Pair,
    "a computed field": Area,
    "a serializer and an excluded field": Price,
    "aliases": Aliases,
    "a generic model": Box[Leaf],
    "a recursive tagged union": Tree | None,
    "a list of tagged unions": list[Tree],
    "a recursive dataclass": Chain,
    "a mixed model": Mixed,
    "an open model with defaults": Open,
    "open models in a list": list[Open],
    "flags": Rights,
    "keys that are flags": dict[Rights, str],
    "keys that are numbers": dict[int, Leaf],
    "keys that are literal numbers": dict[Literal[1, 2], Leaf],
    "keys that are floats": dict[Half, int],
    "keys that are dates": dict[date, str],
    "an optional list of models": list[Leaf] | None,
    "a union of containers": list[int] | dict[str, int],
    "one literal": Literal["only"],
    "a secret": SecretStr,
    "an aware time": AwareDatetime,
    "a union of times": date | datetime | str,
    "abstract containers": Mapping[str, Sequence[int]],
    "bytes": bytes,
    "only None": type(None),
}
OUTPUTS = {"reasoning": dspy.Reasoning, "code": dspy.Code["python"]}


def compared(annotation: Any, configs: Path, adapter: Any = "chat", **fields: Any) -> ParityReport:
    fields = {"value": (annotation, dspy.InputField()), "answer": (str, dspy.OutputField()), **fields}
    program = dspy.Predict(dspy.Signature(fields, "Look at the value."))
    t0dspy.export(program, configs, name="hard", model="openai::m", adapter=adapter, demos="turns", verify=False)
    exported = ExportedProgram.read(configs, "hard")
    return parity.compare(program, exported, "v1", inputs=30)


@pytest.mark.parametrize("what", TYPES)
def test_a_hard_type_is_wire_equal(what: str, tmp_path: Path) -> None:
    """What the type allows is sent, prints the same on both sides, and nothing that fits is refused."""
    report = compared(TYPES[what], tmp_path)
    assert report.equal, parity.explain(report, what)
    assert not report.predictors[0].skipped
    assert report.predictors[0].answers


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("adapter", ["chat", "json", "xml"])
def test_reasoning_and_code_are_outputs_as_text(output: str, adapter: str, tmp_path: Path) -> None:
    """DSPy's types for what a model writes as text are compiled like text."""
    answer = dspy.OutputField()
    report = compared(str, tmp_path, adapter=adapter, answer=(OUTPUTS[output], answer))
    assert report.equal, parity.explain(report, output)
    assert report.predictors[0].answers


@pytest.mark.parametrize("adapter", ["chat", "json", "xml"])
@pytest.mark.parametrize("known", [True, False])
def test_reasoning_that_the_model_gives_by_itself_is_not_in_the_prompt(
    adapter: str, known: bool, tmp_path: Path
) -> None:
    """DSPy takes the output out of the prompt for a model that reasons, also if only the export knew the model."""
    outputs = {"why": (dspy.Reasoning, dspy.OutputField()), "answer": (str, dspy.OutputField())}
    program = dspy.Predict(dspy.Signature({"value": (str, dspy.InputField()), **outputs}, "Look at the value."))
    with dspy.context(lm=dspy.LM("openai/o3-mini", temperature=None, max_tokens=None) if known else None):
        t0dspy.export(program, tmp_path, name="hard", model="openai::o3-mini", adapter=adapter, demos="turns")
    assert "why" not in ExportedProgram.read(tmp_path, "hard").file("v1/system.minijinja")
    report = t0dspy.verify("hard", configs=tmp_path, program=program, inputs=5)
    assert report.equal, parity.explain(report, adapter)


def test_a_parser_that_stumbles_does_so_on_both_sides(tmp_path: Path) -> None:
    """DSPy's parser raises a TypeError on an object in the place of an enum; that is no difference."""
    report = compared(str, tmp_path, answer=(Rights, dspy.OutputField()))
    assert report.equal, parity.explain(report, "an enum")


def test_an_empty_answer_is_none_even_where_no_output_is_required(tmp_path: Path) -> None:
    """DSPy calls it no answer instead of filling every output with None."""
    report = compared(str, tmp_path, answer=(str | None, dspy.OutputField()))
    assert report.equal, parity.explain(report, "optional outputs")


def test_passages_as_a_default_print_as_passages(tmp_path: Path) -> None:
    """A field without a type whose default is a list reads as DSPy prints lists in such fields."""

    class Ask(dspy.Signature):
        """Answer from the passages."""

        context = dspy.InputField(default=["one", "two\nlines"])
        answer = dspy.OutputField()

    program = dspy.Predict(Ask)
    t0dspy.export(program, tmp_path, name="hard", model="openai::m", verify=False, adapter="chat", demos="turns")
    report = t0dspy.verify("hard", configs=tmp_path, program=program, inputs=20)
    assert report.equal, parity.explain(report, "passages")


def test_inputs_that_dspy_itself_refuses_are_counted(tmp_path: Path) -> None:
    """DSPy's own check of a TypedDict raises on both sides, and the report has the reason."""
    report = compared(Row, tmp_path)
    assert report.equal, parity.explain(report, "a typed dict")
    (reason,) = report.predictors[0].skipped
    assert reason.startswith("generated: DSPy sends nothing: TypeError: TypedDict")


def test_a_demo_that_lacks_an_input_is_sent_too(tmp_path: Path) -> None:
    """DSPy takes a call without an input, so that a demo that is no complete input is compared like any other."""
    program = dspy.Predict("question: str, context: str -> answer: str")
    program.demos = [{"question": "?", "answer": "!"}, {"question": "?", "context": "c", "answer": "!"}]
    t0dspy.export(program, tmp_path, name="hard", model="openai::m", verify=False, adapter="chat", demos="system")
    report = t0dspy.verify("hard", configs=tmp_path, program=program, inputs=1)
    assert report.equal, parity.explain(report, "a demo")
    assert not report.predictors[0].skipped


def test_an_example_that_the_gateway_cannot_send_is_a_mismatch(tmp_path: Path) -> None:
    """What DSPy sends and the export does not is no skipped input."""
    program = dspy.Predict("question: str -> answer: str")
    t0dspy.export(program, tmp_path, name="hard", model="openai::m", verify=False, adapter="chat", demos="turns")
    template = tmp_path / "programs" / "hard" / "v1" / "user.minijinja"
    template.write_text("{{ question.no.such }}")
    report = t0dspy.verify("hard", configs=tmp_path, program=program, examples=[{"question": 7}], inputs=0)
    assert not report.equal
    assert report.mismatches[0][1].arguments == {"question": 7}


def test_an_lm_with_an_api_of_its_own_is_compared_by_its_messages(tmp_path: Path) -> None:
    """The gateway translates for such a provider, which needs the same prompt."""
    program = dspy.Predict("question, facts: dict[str, str] -> answer: int")
    program.demos = [{"question": "?", "facts": {"b": "1", "a": "2"}, "answer": 3}]
    with dspy.context(lm=dspy.LM("anthropic/claude-3-5-haiku-20241022", max_tokens=100)):
        report = t0dspy.export(program, tmp_path, name="hard").parity
    assert report is not None
    assert report.requests > 20
    assert report.equal, parity.explain(report, "anthropic")


def test_options_that_variants_have_no_key_for_reach_plain_clients(tmp_path: Path) -> None:
    """They are sent by `extra_body`, also in the exact form that DSPy writes."""
    lm = dspy.LM("openai/gpt-4o-mini", temperature=0.7, logit_bias={"1": 2}, stop=["x"])
    for name, adapter in (("first", dspy.JSONAdapter()), ("second", t0dspy.ServedAdapter("xml"))):
        with dspy.context(lm=lm, adapter=adapter):
            export = t0dspy.export(dspy.Predict("question -> answer: int"), tmp_path, name=name)
        assert export.parity is not None
        (predictor,) = export.parity.predictors
        assert predictor.plain_requests
        assert set(predictor.unlike_plain) <= {JSON_FALLBACK}
