"""Load the exported programs that need Python: each version as its own copy, bound to the gateway."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy
import pydantic

from t0dspy.artifact.exported import ExportedProgram
from t0dspy.artifact.text_values import TEXT, is_text_value
from t0dspy.compiler.contract import is_only_its_predictor
from t0dspy.errors import ProgramError, RunError, T0dspyError
from t0dspy.model import Schema, Text
from t0dspy.program.load import changed_code
from t0dspy.program.of_version import import_program, with_version
from t0dspy.program.types import program_types
from t0dspy.runtime.server.logs import frames, log
from t0dspy.runtime.server.messages import Offer
from t0dspy.transport.bind import bind
from t0dspy.transport.run import Run, ServedVersion
from t0dspy.transport.served_version import served_version


@dataclass(frozen=True)
class Runnable:
    """One version of a program, ready to run."""

    program: dspy.Module
    deployment: "InARun"
    served: ServedVersion
    types: Mapping[str, Any]
    """Maps an input to the Python type that the program's code expects."""
    outputs: Schema
    text: Text
    is_predictor: bool
    """Whether the program is a single predictor, whose text can be the answer unchanged."""
    changed: str = ""
    """The files whose code changed since the export; empty if none did."""

    def inputs(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return JSON arguments as the Python values that the program expects.

        A text value holds the JSON text of an input whose type does not matter, or whose keys must keep their order;
        null stands for an input that the caller omitted.

        Raises:
            ProgramError: a type rejects a value that the exported schema accepts; the message names the field.
        """
        plain = from_texts(arguments, str(self.served))
        texts = {name for name in plain if is_text_value(arguments[name])}
        return {
            name: self._typed_if_same(name, value) if name in texts else self._typed(name, value)
            for name, value in plain.items()
        }

    def _typed_if_same(self, name: str, value: Any) -> Any:
        """Return `value` with its Python type if it fits without a conversion, or else unchanged, as DSPy takes it."""
        if name not in self.types:
            return value
        try:
            adapter = pydantic.TypeAdapter(self.types[name])
            return adapter.validate_json(json.dumps(value), strict=True, by_alias=True, by_name=True)
        except pydantic.ValidationError:
            return value

    def _typed(self, name: str, value: Any) -> Any:
        if name not in self.types:
            return value
        try:
            return pydantic.TypeAdapter(self.types[name]).validate_python(value, by_alias=True, by_name=True)
        except pydantic.ValidationError as error:
            kinds = ", ".join(sorted({detail["type"] for detail in error.errors(include_input=False)}))
            raise ProgramError(f"the input {name!r} of {self.served} is not accepted by its type ({kinds}).") from None


def from_texts(arguments: Mapping[str, Any], program: str) -> dict[str, Any]:
    """Return `arguments` with the values that arrived as JSON text, which keeps the order of keys.

    Raises:
        ProgramError: a text is not JSON; the message names the field.
    """
    plain = {}
    for name, value in arguments.items():
        if not is_text_value(value):
            plain[name] = value
        elif value[TEXT] is not None:
            try:
                plain[name] = json.loads(value[TEXT])
            except (ValueError, RecursionError):
                raise ProgramError(f"the input {name!r} of {program} arrived as a text that is not JSON.") from None
    return plain


@dataclass(frozen=True)
class Catalog:
    """The versions that a worker can run, and the reasons why it refuses others."""

    runnables: Mapping[tuple[str, str], Runnable]
    offers: Mapping[str, Offer]


class InARun:
    """The deployment of a served program, whose predictors may only be called inside a run of the server."""

    def begin(self) -> Run:
        """Refuse to begin a run.

        Raises:
            RunError: always, because the server begins its runs itself.
        """
        raise RunError(
            "a predictor was called outside of a run: in a thread without DSPy's context, or after the run was over. "
            "Use dspy.Parallel, or start the thread with contextvars.copy_context().run."
        )


def load_catalog(configs: Path, program: str) -> Catalog:
    """Load the versions of an exported program that the program server serves; refuse each that cannot be loaded.

    The settings that the program's modules configure at their import are those of the process, and of all its runs.
    """
    runnables: dict[tuple[str, str], Runnable] = {}
    offers = {}
    try:
        exported = ExportedProgram.read(configs, program)
    except T0dspyError as error:
        log("error", "program refused", program=program, why=str(error))
        return Catalog({}, {})
    versions = versions_on_server(exported)
    if versions:
        refusals = dict(_load(exported, versions, runnables))
        changed = {
            version: runnable.changed
            for version in versions
            if (runnable := runnables.get((exported.name, version))) is not None and runnable.changed
        }
        deadline = exported.manifest.deadlines["run"]
        offers[exported.name] = Offer(deadline, refusals, changed, _in_traffic(exported))
    return Catalog(runnables, offers)


def versions_on_server(exported: ExportedProgram) -> list[str]:
    """Return the versions that need the program server."""
    return [version for version, entry in exported.manifest.versions.items() if entry.runs_on_server]


def _in_traffic(exported: ExportedProgram) -> list[str]:
    try:
        return list(exported.shares)
    except T0dspyError:  # the gateway refuses the file too, and keeps the shares that it has
        return list(exported.manifest.versions)


def _load(
    exported: ExportedProgram, versions: Sequence[str], runnables: dict[tuple[str, str], Runnable]
) -> Iterator[tuple[str, str]]:
    """Yield each version and why it is refused; put the versions that are not refused into `runnables`."""
    for version in versions:
        name = f"{exported.name}/{version}"
        try:
            runnables[exported.name, version] = _make_runnable(exported, version)
        except T0dspyError as error:
            log("error", "program refused", program=name, why=str(error))
            yield version, str(error)
        except Exception as error:
            log("error", "program refused", program=name, traceback=frames(error))
            yield version, f"loading it failed with {type(error).__name__}."
        else:
            yield version, ""


def _make_runnable(exported: ExportedProgram, version: str) -> Runnable:
    name, manifest = exported.name, exported.manifest
    live = import_program(exported)
    changed = changed_code(live, manifest.program, manifest.versions[version].code_hash)
    if changed:
        log("warning", "the code changed since the export", program=f"{name}/{version}", files=changed)
    program = with_version(live, exported, version)
    deployment = InARun()
    served = served_version(exported, version, program)
    bind(program, deployment, [path for path, entry in manifest.versions[version].predictors.items() if entry.kept])
    return Runnable(
        program=program,
        deployment=deployment,
        served=served,
        types=program_types(program, name).inputs,
        outputs=exported.schemas(name)[1],
        text=manifest.functions[name].type,
        is_predictor=is_only_its_predictor(live),
        changed=changed,
    )
