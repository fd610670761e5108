"""Frozen values handed from room to room; no behaviour beyond small properties."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import dspy

Schema = dict[str, Any]
"""A JSON Schema; the order of its keys is the order of the fields."""

Text = Literal["chat", "json"]
"""Whose prompt text: DSPy's ChatAdapter or its JSONAdapter. Also the type of the TensorZero function that holds it."""

DemoPlace = Literal["turns", "system"]
"""Where demos stand: as chat turns before the input, or folded into the system message."""


def resolve(part: Schema, whole: Schema) -> Schema:
    """Return `part`, or the definition in `whole` that its `$ref` names."""
    while "$ref" in part:
        part = whole["$defs"][definition_name(part)]
    return part


def definition_name(part: Schema) -> str:
    """Return the name of the definition that `part["$ref"]` points to."""
    return str(part["$ref"]).rpartition("/")[2]


def canonical(value: Any, *, allow_nan: bool = True) -> str:
    """`value` as JSON text that is equal only for equal values, the order of keys included."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=allow_nan)


def digest(value: Any) -> str:
    """The SHA-256 of `value`: of a text as it is, of anything else as canonical JSON."""
    text = value if isinstance(value, str) else canonical(value)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class PromptForm:
    """How a program's prompts are written: the adapter's text, and where the demos stand."""

    adapter: Text = "chat"
    demos: DemoPlace = "turns"


@dataclass(frozen=True)
class Predictor:
    """One `dspy.Predict` of a program, as the optimizer left it."""

    path: str
    """DSPy's own name for it, such as `steps[0].predict`."""
    signature: "type[dspy.Signature]"
    demos: Sequence[Mapping[str, Any]]
    model: str | None
    """The TensorZero model its own LM stands for, where that is certain."""
    sampling: Mapping[str, Any]
    """Variant keys and values, such as `{"temperature": 0.7}`."""


@dataclass(frozen=True)
class Contract:
    """What a TensorZero function promises: its type and schemas, without prompt text."""

    text: Text
    inputs: Schema
    outputs: Schema
    """A chat function has no output schema at the gateway; it promises one all the same."""

    @property
    def fingerprint(self) -> str:
        """Equal only for equal contracts, the order of fields included."""
        return digest([self.text, self.inputs, self.outputs])


@dataclass(frozen=True)
class CompiledPredictor:
    """A predictor as the gateway will hold it."""

    path: str
    contract: Contract
    model: str
    settings: Mapping[str, Any]
    """Variant keys beside the model and the templates: `json_mode` and sampling."""
    templates: Mapping[str, str]
    """Template name -> MiniJinja: `system`, `user`, and `demo_1_user`, `demo_1_assistant` ... where demos are turns."""
    state: Mapping[str, Any]
    """DSPy's own state of the predictor, as `Predict.dump_state` writes it, without LM and traces."""

    @property
    def demo_turns(self) -> int:
        """How many pairs of static demo turns a caller puts before the input."""
        return sum(name.startswith("demo_") and name.endswith("_user") for name in self.templates)


@dataclass(frozen=True)
class ProgramContract:
    """The contract of the whole program: its schemas, and the template that hands typed inputs to the server."""

    inputs: Schema
    outputs: Schema
    template: str


@dataclass(frozen=True)
class CompiledProgram:
    """A program as the gateway will hold it, before names and versions are given."""

    form: PromptForm
    predictors: Sequence[CompiledPredictor]
    contract: ProgramContract | None
    """None when only the stages are exported."""
    direct: bool
    """True when the program is nothing but its one predictor, so that no Python need stand between."""
    code_hash: str | None
    """A hash of the program's own source; None where no code of the user's runs."""
    notes: Sequence[str] = field(default=())
    """What a user should know: what was dropped, and where this export differs from what they may expect."""
