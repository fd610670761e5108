"""Call exported functions: check inputs against their schemas, make calls, and parse answers."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jsonschema

from t0dspy.artifact.exported import ExportedProgram, programs_root
from t0dspy.artifact.names import quoted
from t0dspy.artifact.rollout_toml import incumbent
from t0dspy.artifact.text_values import keep_order
from t0dspy.artifact.variants import is_fallback_text, version_of
from t0dspy.errors import AnswerNotParsedError, BundleError, SettingsError
from t0dspy.gateway import Call, Inference, input_messages
from t0dspy.model import Schema, Text, resolve


@dataclass(frozen=True)
class ServedFunction:
    """How to call a function of an exported program (the program's own, or a predictor's) and read its answers."""

    program: ExportedProgram
    name: str
    inputs: Schema
    outputs: Schema

    @property
    def type(self) -> Text:
        """Return the type of the function at the gateway."""
        return self.program.manifest.functions[self.name].type

    def call(
        self, arguments: Mapping[str, Any], variant: str | None = None, tags: Mapping[str, str] | None = None
    ) -> Call:
        """Return the call for `arguments`.

        Args:
            arguments: the input fields.
            variant: the version that must answer; by default the gateway chooses by the shares.
            tags: tags of the inference, and of the inferences of its stages.

        Raises:
            SettingsError: a field does not fit the schema, or the variant does not exist.
        """
        check_fields(arguments, self.inputs, f"the input of {self.name}")
        manifest = self.program.manifest
        versions = manifest.versions_of(self.name)
        if variant is not None and variant not in versions:
            raise SettingsError(f"{manifest.unknown_version(variant, self.name)}.")
        if variant is None and any(map(self._demo_turns, versions)):
            variant = self._choose(versions)  # the call contains the demo turns of a version, so that one must answer
        turns = self._demo_turns(variant) if variant else 0
        served = manifest.versions if tags and self.name == manifest.name else {}
        by_server = [version for version, entry in served.items() if entry.runs_on_server]
        messages = input_messages(self._ordered(arguments), turns)
        return Call(self.name, messages, variant, tags=tags or {}, tag_stages_of=by_server)

    def read(self, inference: Inference) -> dict[str, Any]:
        """Parse the output fields of an answer with DSPy's parser.

        Raises:
            AnswerNotParsedError: the answer lacks a field, or the parser cannot read it.
        """
        fields = read_fields(inference.text, self.outputs, self.text_of(inference.variant))
        if fields is None:
            names = ", ".join(self.outputs["properties"])
            raise AnswerNotParsedError(
                f"{self.name} answered (inference {inference.inference_id}), but not with the fields {names} in a form "
                f"that DSPy's parser reads. The answer: {inference.text[:300]!r}",
                inference.inference_id,
                inference.episode_id,
            )
        return fields

    def text_of(self, variant: str) -> Text:
        """Return the adapter text in which `variant` answers."""
        entry = self.program.manifest.functions[self.name]
        version = self.program.manifest.versions.get(version_of(variant))
        if version is None or (entry.predictor is None and version.runs_on_server):
            return self.type
        return "json" if is_fallback_text(variant) else version.form.adapter

    def _ordered(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        takes_text = self.program.manifest.functions[self.name].takes_text
        return keep_order(arguments, self.inputs) if takes_text else arguments

    def _demo_turns(self, version: str) -> int:
        stages = self.program.manifest.versions[version].predictors.values()
        return next((stage.demo_turns for stage in stages if stage.function == self.name), 0)

    def _choose(self, versions: list[str]) -> str:
        shares = self.program.shares
        return incumbent({version: shares[version] for version in versions if version in shares}) or versions[-1]


def find_function(configs: Path, name: str) -> ServedFunction:
    """Return the function `name` of the exported program below `configs` that has it.

    Raises:
        BundleError: no program has it; the message names the closest function, or all of them.
        HandEditedError: a schema of the function is gone or damaged.
    """
    known: list[str] = []
    for program in ExportedProgram.read_all(configs):
        if name in program.manifest.functions:
            return ServedFunction(program, name, *program.schemas(name))
        known += program.manifest.functions
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}."
    raise BundleError(f"no exported function {quoted(name)} in {programs_root(configs)}: {hint}")


def check_fields(fields: Mapping[str, Any], schema: Schema, subject: str) -> None:
    """Check `fields` against `schema`.

    Raises:
        SettingsError: a field does not fit; the message names `subject` and the field.
    """
    errors = jsonschema.Draft202012Validator(schema).iter_errors(fields)
    error = jsonschema.exceptions.best_match(errors)
    if error is not None:
        path = ".".join(map(str, error.absolute_path))
        location = f"{subject}, field {path!r}" if path else subject
        required = schema.get("required", ())
        names = ", ".join(name if name in required else f"{name}?" for name in schema["properties"])
        raise SettingsError(f"{location}: {error.message[:300]}. It takes {names}.")


def read_fields(answer: str, outputs: Schema, text: Text) -> dict[str, Any] | None:
    """Parse the output fields of a model's `answer` in the adapter text `text`; return None if it cannot be parsed.

    The result is None for an empty answer, because DSPy does not parse empty answers. Its parser would return defaults.
    """
    return fields_reader(outputs, text)(answer)


def fields_reader(outputs: Schema, text: Text) -> Callable[[str], dict[str, Any] | None]:
    """Return a function that does the same as `read_fields`, for many answers of one function."""
    import dspy
    from dspy.utils.exceptions import AdapterParseError

    from t0dspy.compiler.adapters import make_adapter
    from t0dspy.model import PromptForm

    fields: Any = {
        name: (_annotation(part, outputs), dspy.OutputField()) for name, part in outputs["properties"].items()
    }
    adapter: Any = make_adapter(PromptForm(text), {})
    signature = dspy.make_signature(fields)

    def read(answer: str) -> dict[str, Any] | None:
        if not answer:
            return None
        try:
            return dict(adapter.parse(signature, answer))
        except AdapterParseError:
            return None

    return read


_TYPES = {"string": str, "integer": int, "number": float, "boolean": bool, "array": list, "object": dict, "null": None}


def _annotation(part: Schema, whole: Schema) -> Any:
    """Return the Python type with which DSPy's parser reads a field of this schema."""
    part = resolve(part, whole)
    if "enum" in part or "const" in part:
        return Literal[tuple(part.get("enum", [part.get("const")]))]
    if "anyOf" in part:
        options = [_annotation(option, whole) for option in part["anyOf"]]
        union = options[0]
        for option in options[1:]:
            union = union | option if union is not None else option | union
        return union
    kind = part.get("type")
    return _TYPES.get(kind, Any) if isinstance(kind, str) else Any
