"""Frozen values that packages pass to each other, with small properties only."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import dspy

Schema = dict[str, Any]
"""A JSON Schema; the order of its keys is the order of the fields."""

Text = Literal["chat", "json", "xml"]
"""The prompt text of DSPy's ChatAdapter, JSONAdapter or XMLAdapter."""

FunctionType = Literal["chat", "json"]
"""The type of a TensorZero function: `json` for the text of JSONAdapter, `chat` for the others."""

DemoPlace = Literal["turns", "system"]
"""Where a prompt has its demos: as chat turns before the input, or in the system message."""


def resolve(part: Schema, whole: Schema) -> Schema:
    """Return `part`, or the definition in `whole` that its `$ref` names."""
    while "$ref" in part:
        part = whole["$defs"][definition_name(part)]
    return part


def definition_name(part: Schema) -> str:
    """Return the name of the definition that `part["$ref"]` refers to."""
    return str(part["$ref"]).rpartition("/")[2]


def canonical(value: Any, *, allow_nan: bool = True) -> str:
    """Return `value` as JSON text that is equal only for equal values with the same order of keys."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=allow_nan)


def digest(value: Any) -> str:
    """Return the SHA-256 of `value` as a hexadecimal string; values other than strings are hashed as canonical JSON."""
    text = value if isinstance(value, str) else canonical(value)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class PromptForm:
    """The form of a program's prompts: the adapter's text and the place of the demos."""

    adapter: Text = "chat"
    demos: DemoPlace = "turns"


@dataclass(frozen=True)
class LmEntry:
    """An LM that the program uses in DSPy, and the model of TensorZero's config that answers for it."""

    lm: str
    """DSPy's name, such as `openai/gpt-4o-mini`."""
    model: str
    """The config's model, such as `openai::gpt-4o-mini` or `main`."""
    address: str | None = None
    """The LM's own address (`api_base`), if it has one."""
    type: str = "chat"
    """DSPy's `model_type`."""


@dataclass(frozen=True)
class Predictor:
    """A `dspy.Predict` of a program, after optimization."""

    path: str
    """DSPy's name of the predictor, such as `steps[0].predict`."""
    signature: "type[dspy.Signature]"
    demos: Sequence[Mapping[str, Any]]
    model: str | None
    """The TensorZero model for its LM; None if unknown."""
    sampling: Mapping[str, Any]
    """Variant keys and values, such as `{"temperature": 0.7}`."""
    lm: str | None = None
    """The program's name of its own LM, a key of `CompiledProgram.lms`; None if no LM is set."""
    kept: bool = False
    """Whether it is a predictor, or a module that contains predictors, that stays in Python."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Other settings, under the names that a provider gets, for which a variant has no key."""
    covered: "Sequence[Predictor]" = ()
    """The predictors in a kept module, or the kept predictor itself."""
    sends_files: bool = False
    """Whether a kept predictor has images, sounds or files among its fields."""
    lm_state: Mapping[str, Any] | None = None
    """The name, type and sampling settings of an LM that belongs to the predictor itself; None if it has none."""


@dataclass(frozen=True)
class Contract:
    """The contract of a TensorZero function: its type and schemas, without prompt text."""

    text: Text
    inputs: Schema
    outputs: Schema
    """The gateway has no output schema for a chat function, but the contract has one."""

    @property
    def fingerprint(self) -> str:
        """A hash that is equal only for equal contracts with the same order of fields."""
        return digest([self.text, self.inputs, self.outputs])


@dataclass(frozen=True)
class CompiledPredictor:
    """A predictor in the form in which the gateway serves it."""

    path: str
    contract: Contract
    model: str
    sampling: Mapping[str, Any]
    """Variant keys such as temperature."""
    json_mode: Mapping[str, Any]
    """Variant keys that make the provider answer with JSON; empty for a function of type chat."""
    templates: Mapping[Text, Mapping[str, str]]
    """Adapter text -> template name -> MiniJinja: `system`, `user`, and `demo_1_user`, `demo_1_assistant` ... if demos
    are turns. The exported text comes first, then that of DSPy's JSON fallback if the adapter has it."""
    state: Mapping[str, Any]
    """DSPy's state of the predictor, as `Predict.dump_state` writes it, without LM and traces; if it is kept, the
    states of all predictors that it covers, by their paths."""
    lm: str | None = None
    """The program's name of its own LM, a key of `CompiledProgram.lms`; None if no LM is set."""
    kept: bool = False
    """Whether it stays in Python; then it has no templates. A kept module that contains predictors counts as one."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Settings of its calls, under the names that a provider gets, for which a variant has no key."""
    sends_files: bool = False
    """Whether it sends images, sounds or files."""

    @property
    def demo_turns(self) -> int:
        """The number of pairs of static demo turns that a caller sends before the input."""
        names = next(iter(self.templates.values()), {})
        return sum(name.startswith("demo_") and name.endswith("_user") for name in names)


@dataclass(frozen=True)
class ProgramContract:
    """The contract of the whole program: its schemas, and the template that passes inputs to the program server."""

    inputs: Schema
    outputs: Schema
    template: str


@dataclass(frozen=True)
class CompiledProgram:
    """A program in the form in which the gateway serves it, before names and versions are assigned."""

    form: PromptForm
    predictors: Sequence[CompiledPredictor]
    contract: ProgramContract | None
    """None if only the stages are exported."""
    direct: bool
    """True if the program only calls its one predictor, so that serving it needs no Python."""
    code_hash: str | None
    """A hash of the program's source; None if serving it does not run the user's code."""
    notes: Sequence[str] = field(default=())
    """Messages for the user: what was dropped, and in what this export may differ from expectations."""
    lms: Mapping[str, LmEntry] = field(default_factory=dict)
    """The LMs that the program can choose, by the names that they have in variants."""
    adapter: Mapping[str, Any] = field(default_factory=dict)
    """The options of the DSPy adapter that differ from its defaults."""
