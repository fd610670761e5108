"""Plan the next version of a program: the functions that it uses and the files that it adds, without I/O."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from t0dspy.artifact import rollout_toml
from t0dspy.artifact.manifest import FunctionEntry, Manifest, PredictorEntry, VersionEntry, same_contract
from t0dspy.artifact.text_values import accept_text
from t0dspy.compiler import tensorzero_toml
from t0dspy.compiler.naming import function_name
from t0dspy.compiler.variants import template_files, variants_of
from t0dspy.errors import ContractError
from t0dspy.model import CompiledPredictor, CompiledProgram, ProgramContract, Schema, Text, digest

DEADLINES = {"stage": 120.0, "run": 600.0, "program": 630.0}
"""Seconds. A stage's call times out before its run, and a run before the gateway's call to the program server."""


@dataclass(frozen=True)
class Origin:
    """The origin that a version records."""

    program: str | None
    """The program's import path."""
    created: str
    """RFC 3339, UTC."""
    dspy: str
    t0dspy: str
    parent: str | None = None
    scores: Mapping[str, Any] | None = None
    lineage: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class NextVersion:
    """A version to write, or the existing version that is equal to it."""

    version: str
    unchanged: bool
    """True if `version` already exists and is equal to this program, so that there is nothing to write."""
    manifest: Manifest
    files: Mapping[str, str]
    """Path below the program's directory -> content of new or changed files, without manifest and rollout.toml."""


def next_version(compiled: CompiledProgram, previous: Manifest, origin: Origin) -> NextVersion:
    """Return what exporting `compiled` adds to the tree that `previous` describes (an empty manifest if it is new).

    Raises:
        ContractError: if the program's inputs or outputs differ from those of `previous`.
    """
    plan = _Plan(compiled, previous)
    for version, entry in previous.versions.items():
        if entry.content_hash == plan.content_hash:
            return NextVersion(version, True, previous, {})
    return plan.next_version(origin)


def contract_differences(old: tuple[Schema, Schema], new: tuple[Schema, Schema]) -> list[str]:
    """Return the changes from the `old` (inputs, outputs) to the `new`, a readable line per field."""
    lines: list[str] = []
    for direction, before, after in zip(("input", "output"), old, new, strict=True):
        fields = list(dict.fromkeys([*before["properties"], *after["properties"]]))
        pairs = [(name, _field(before, name), _field(after, name)) for name in fields]
        changed = [
            f"{direction} {name!r}: {was or 'absent'} -> {now or 'absent'}" for name, was, now in pairs if was != now
        ]
        if not changed and not same_contract(before, after):
            changed = [f"the order or a shared type of the {direction}s changed"]
        lines += changed
    return lines


def _field(schema: Schema, name: str) -> str:
    if name not in schema["properties"]:
        return ""
    optional = "" if name in schema["required"] else " (optional)"
    return json.dumps(schema["properties"][name], ensure_ascii=False) + optional


class _Plan:
    """Assign names, then compute the hash that shows whether anything is new, then the files."""

    def __init__(self, compiled: CompiledProgram, previous: Manifest) -> None:
        self.compiled, self.previous, self.name = compiled, previous, previous.name
        self.functions = dict(previous.functions)
        self.schemas: dict[str, Schema] = {}
        self.through_server = self._name_the_program()
        self.function_of = {predictor.path: self._name(predictor) for predictor in compiled.predictors}
        self.content_hash = digest(self._content())

    def next_version(self, origin: Origin) -> NextVersion:
        version = self.previous.next_version()
        entry = VersionEntry(
            content_hash=self.content_hash,
            code_hash=self.compiled.code_hash if self.through_server else None,
            parent=origin.parent,
            created=origin.created,
            dspy=origin.dspy,
            t0dspy=origin.t0dspy,
            form=self.compiled.form,
            served_by=self._served_by(),
            predictors={predictor.path: self._entry(predictor) for predictor in self.compiled.predictors},
            scores=origin.scores,
            lineage=origin.lineage,
            lms=dict(self.compiled.lms),
            adapter=dict(self.compiled.adapter),
        )
        manifest = replace(
            self.previous,
            program=origin.program,
            functions=self.functions,
            versions={**self.previous.versions, version: entry},
        )
        return NextVersion(version, False, manifest, {**self._shared_files(manifest), **self._version_files(version)})

    def _name_the_program(self) -> bool:
        """Add the program function if it is new; return whether this version runs on the program server."""
        contract = self.compiled.contract
        if contract is None:
            return False
        known = self.functions.get(self.name)
        alone = self.compiled.predictors[0] if self.compiled.direct else None
        holds_prompt = alone is not None and not alone.kept and alone.demo_turns == 0
        text: Text = self.compiled.form.adapter if holds_prompt else "json"
        if known is None:
            self._add_function(self.name, None, text, (contract.inputs, contract.outputs), _fingerprint(contract))
        elif known.fingerprint != _fingerprint(contract):
            raise ContractError(
                f"the contract of {self.name} changed."
            )  # the caller has the files and adds the differences
        else:
            self._let_take_text(self.name, contract.inputs)
        # A function's type never changes, so the program server serves a version whose text differs from that type.
        return not (holds_prompt and self.functions[self.name].type == self.compiled.form.adapter)

    def _name(self, predictor: CompiledPredictor) -> str:
        if self.compiled.contract is not None and not self.through_server:
            return self.name
        fingerprint = predictor.contract.fingerprint
        stages = {
            name: (entry.predictor, entry.fingerprint)
            for name, entry in self.functions.items()
            if entry.predictor is not None
        }
        name = function_name(self.name, predictor.path, fingerprint, stages)
        contract = predictor.contract
        if name in self.functions:
            self._let_take_text(name, contract.inputs)
        elif predictor.kept:
            self.functions[name] = FunctionEntry(predictor.path, "chat", "", "", fingerprint, blank=True)
        else:
            schemas = contract.inputs, contract.outputs
            self._add_function(name, predictor.path, contract.text, schemas, fingerprint)
        return name

    def _add_function(
        self, name: str, path: str | None, text: Text, schemas: tuple[Schema, Schema], fingerprint: str
    ) -> None:
        paths = f"schemas/{name}.input.json", f"schemas/{name}.output.json"
        self.schemas |= dict(zip(paths, (accept_text(schemas[0]), schemas[1]), strict=True))
        self.functions[name] = FunctionEntry(path, text, *paths, fingerprint=fingerprint, takes_text=True)

    def _let_take_text(self, name: str, inputs: Schema) -> None:
        """Rewrite the input schema of a function that an older t0dspy exported; it becomes wider."""
        entry = self.functions[name]
        if not entry.takes_text and not entry.blank:
            self.schemas[entry.input_schema] = accept_text(inputs)
            self.functions[name] = replace(entry, takes_text=True)

    def _entry(self, predictor: CompiledPredictor) -> PredictorEntry:
        return PredictorEntry(
            self.function_of[predictor.path],
            predictor.model,
            {**predictor.sampling, **predictor.extra},
            predictor.demo_turns,
            predictor.lm,
            tuple(predictor.templates),
            predictor.kept,
        )

    def _served_by(self) -> str | None:
        if self.compiled.contract is None:
            return None
        return "programs" if self.through_server else "gateway"

    def _content(self) -> list[Any]:
        """Return everything that defines a version. Its files are named for v0, so that the name does not matter."""
        code = self.compiled.code_hash if self.through_server else None
        contract = None if self.compiled.contract is None else _fingerprint(self.compiled.contract)
        contracts = [predictor.contract.fingerprint for predictor in self.compiled.predictors]
        form = [self.compiled.form.adapter, self.compiled.form.demos, dict(self.compiled.adapter)]
        lms = {name: asdict(entry) for name, entry in self.compiled.lms.items()}
        return [self._version_files("v0"), self.function_of, contracts, contract, code, form, lms]

    def _shared_files(self, manifest: Manifest) -> dict[str, str]:
        files = {path: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for path, schema in self.schemas.items()}
        return {"program.toml": tensorzero_toml.program_toml(manifest), **files}

    def _version_files(self, version: str) -> dict[str, str]:
        files: dict[str, str] = {}
        state: dict[str, Any] = {}
        blocks = []
        if self.through_server and self.compiled.contract is not None:
            files["user.minijinja"] = self.compiled.contract.template
            is_json = self.functions[self.name].type == "json"
            blocks.append(self._program_block(version, is_json))
        for predictor in self.compiled.predictors:
            function = self.function_of[predictor.path]
            prefix = "" if function == self.name else function.removeprefix(f"{self.name}__") + "."
            for text, templates in predictor.templates.items():
                paths = template_files(predictor, prefix, text)
                files |= {paths[template]: content for template, content in templates.items()}
            direct = function == self.name
            for variant in variants_of(predictor, version, self.compiled.lms, prefix, direct=direct):
                blocks.append(tensorzero_toml.predictor_variant(function, variant, self.previous.deadlines["stage"]))
            state |= predictor.state if predictor.kept else {predictor.path: predictor.state}
        files["variant.toml"] = tensorzero_toml.variant_toml(self.name, version, blocks)
        files["state.json"] = state_json(state)
        return {f"{version}/{path}": text for path, text in files.items()}

    def _program_block(self, version: str, is_json: bool) -> str:
        return tensorzero_toml.program_variant(
            self.name, version, is_json, "user.minijinja", self.previous.deadlines["program"]
        )


def state_json(state: Mapping[str, Any]) -> str:
    """Return the states by predictor path as JSON text that DSPy's `program.load` accepts."""
    if list(state) == ["self"]:  # DSPy saves a program that is a single Predict without a path
        state = state["self"]
    return json.dumps({**state, "metadata": {"dependency_versions": {}}}, indent=2, ensure_ascii=False) + "\n"


def render_rollout(
    text: str | None, planned: NextVersion, share: float | None, shares: Mapping[str, float], location: str
) -> str:
    """Return `rollout.toml` with the planned version; it gets traffic only if it is the first or `share` is given."""
    if not shares:
        shares = {planned.version: 1.0}
    elif share is not None:
        shares = rollout_toml.with_share(shares, planned.version, share)
    return rollout_toml.render(text, planned.manifest, shares, location)


def _fingerprint(contract: ProgramContract) -> str:
    return digest([contract.inputs, contract.outputs])
