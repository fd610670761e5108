"""Export: plan the next version, prove it on the wire, write it. Nothing is left behind when any of it fails."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import dspy

from t0dspy import bundle, neighbours, parity, traffic
from t0dspy.bundle import MANIFEST, ROLLOUT
from t0dspy.compiler import layout
from t0dspy.compiler.compile import compile_program
from t0dspy.compiler.naming import checked_name
from t0dspy.compiler.versions import DEADLINES, NextVersion, Origin, contract_differences, next_version, rollout_toml
from t0dspy.errors import BundleError, CompileError, ContractError, HandEditedError, WireInequalityError
from t0dspy.fits import misfits
from t0dspy.manifest import Change, Manifest, parse_manifest
from t0dspy.model import CompiledProgram, DemoPlace, PromptForm, Text, digest
from t0dspy.parity.report import ParityReport
from t0dspy.program import code_hash, load_program
from t0dspy.signatures import load_signature
from t0dspy.state import read_state, with_state
from t0dspy.tree import read_program as read_program

Progress = Callable[[str], None]


@dataclass(frozen=True)
class ExportOptions:
    """What an export may be told; everything has a default."""

    name: str | None = None
    """The program's name at the gateway; by default the attribute's name."""
    state: Path | None = None
    """A state saved with `program.save("x.json")`."""
    model: str | None = None
    """The TensorZero model of every predictor, such as `openai::gpt-4o-mini`."""
    adapter: Text | None = None
    demos: DemoPlace | None = None
    signature: str | type[dspy.Signature] | None = None
    """The program's own contract, where its code leaves it open."""
    stages_only: bool = False
    traffic: float | None = None
    """The new version's share; by default none, unless it is the first."""
    breaking: bool = False
    """Let the program's contract change: a new function NAME_2, every old one kept."""
    import_path: str | None = None
    """Where the program server imports the program from, when a live object is exported."""
    dry_run: bool = False
    """Do everything but write."""
    verify: bool = True
    stage_timeout: float | None = None
    run_timeout: float | None = None
    scores: Mapping[str, Any] | None = None
    """What an evaluation said of it, for the manifest."""
    lineage: Mapping[str, Any] | None = None
    """How it was made, for the manifest."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """File -> text, put beside the version's own files; no config reads them."""


@dataclass(frozen=True)
class Export:
    """What an export did, or with `dry_run` would do."""

    name: str
    version: str
    directory: Path
    unchanged: bool
    """True when `version` exists already and equals the program; then nothing was written."""
    diff: str
    """What the new version changes, as a unified diff."""
    shares: Mapping[str, float]
    """The traffic after this export, once it is applied."""
    parity: ParityReport | None
    """The proof; None when it was not asked for, or nothing is new."""
    served_by: str | None
    notes: Sequence[str]
    written: bool


def export(
    program: str | dspy.Module,
    configs: Path | str = "configs",
    options: ExportOptions | None = None,
    *,
    progress: Progress = lambda text: None,
    parity_progress: Callable[[str, int], None] = lambda path, count: None,
    **overrides: Any,
) -> Export:
    """Compile `program` and write its next version below `configs`.

    Args:
        program: a live `dspy.Module`, or an import path such as `app.review:program`.
        configs: the directory of TensorZero's config.
        options: what to do otherwise than by default.
        progress: called with a line about what is being done.
        parity_progress: called with a predictor's path and the number of inputs compared.
        overrides: fields of `ExportOptions`, for short.

    Returns:
        What was written. An unchanged program writes nothing.

    Raises:
        ProgramError: the program, its state or its contract; every reason is named.
        HandEditedError: a generated file that would be rewritten was changed by hand.
        BundleError: the files cannot be written.
        GatewayError: TensorZero refuses the config.
        WireInequalityError: the gateway would send something else than DSPy does; nothing is written.
    """
    options = replace(options or ExportOptions(), **overrides)
    if options.traffic is not None:
        traffic.check_share(options.traffic, "the new version")
    reference = program if isinstance(program, str) else options.import_path
    live = load_program(program) if isinstance(program, str) else program
    name = checked_name(options.name or _default_name(reference))
    notes: list[str] = []
    if options.state is not None:
        live, notes = with_state(live, read_state(options.state), str(options.state))
    progress(f"compiling {name}")
    compiled = _compile(live, reference, options)
    programs = Path(configs) / "programs"
    name = _free_name(programs, name, compiled, options)
    bundle.check_place(programs / name)
    start = partial(_Export, live, compiled, programs / name, options, reference)
    work = start()
    if options.dry_run or (work.planned.unchanged and not bundle.interrupted(programs / name)):
        return work.run(notes, progress, parity_progress)  # nothing is written, not even a lock
    with bundle.locked(programs / name):
        if bundle.read_tree(programs / name) != work.present:  # somebody else was quicker
            work = start()
        return work.run(notes, progress, parity_progress)


def _compile(live: dspy.Module, reference: str | None, options: ExportOptions) -> CompiledProgram:
    signature = options.signature
    if isinstance(signature, str):
        signature = load_signature(signature, live)
    return compile_program(
        live,
        form=_form(options),
        model=options.model,
        signature=signature,
        stages_only=options.stages_only,
        code_hash=code_hash(live, reference),
    )


def _form(options: ExportOptions) -> PromptForm | None:
    if options.adapter is None and options.demos is None:
        return None
    configured = layout.form_of(dspy.settings.adapter) or PromptForm()
    return PromptForm(options.adapter or configured.adapter, options.demos or configured.demos)


def _default_name(reference: str | None) -> str:
    if reference is None:
        raise CompileError.because("the program", "was given as an object, which has no name.", "Pass name='...'.")
    return reference.rpartition(":")[2].rpartition(".")[2]


def _free_name(programs: Path, name: str, compiled: CompiledProgram, options: ExportOptions) -> str:
    """`name`, or with `breaking` and a changed contract the first NAME_2, NAME_3 ... whose contract fits."""
    count, candidate = 1, name
    while (programs / candidate / MANIFEST).exists():
        manifest, files = read_program(programs / candidate)
        changes = _contract_changes(manifest, files, compiled)
        if not changes:
            return candidate
        if not options.breaking:
            listed = "\n  ".join(changes)
            raise ContractError(
                f"this export would change what {candidate} promises its callers:\n  {listed}\n"
                f"Pass --breaking to keep {candidate} as it is and make {name}_{count + 1} with the new contract."
            )
        count += 1
        candidate = f"{name}_{count}"
    return candidate


def _contract_changes(manifest: Manifest, files: Mapping[str, str], compiled: CompiledProgram) -> list[str]:
    entry = manifest.functions.get(manifest.name)
    if entry is None and compiled.contract is None:
        return []
    if entry is None or compiled.contract is None:
        before, after = ("only its stages", "a program function") if entry is None else ("a program function", "none")
        return [f"{manifest.name} has {before}, this export {after} (see --stages-only)"] if manifest.versions else []
    inputs, outputs = (
        bundle.read_json(files, path, manifest.name) for path in (entry.input_schema, entry.output_schema)
    )
    return contract_differences((inputs, outputs), (compiled.contract.inputs, compiled.contract.outputs))


class _Export:
    """One export, step by step."""

    def __init__(
        self,
        live: dspy.Module,
        compiled: CompiledProgram,
        directory: Path,
        options: ExportOptions,
        reference: str | None,
    ) -> None:
        self.live, self.compiled, self.directory, self.options = live, compiled, directory, options
        self.reference = reference
        self.present = bundle.read_tree(directory)
        self.rollout_path = str(directory / ROLLOUT)
        self.previous = self._previous()
        self.shares = self._shares(self.previous)
        self.planned = _with_files(next_version(compiled, self.previous, self._origin()), options.beside)

    def run(self, notes: list[str], progress: Progress, parity_progress: Callable[[str, int], None]) -> Export:
        planned = self.planned
        notes += [*self._hand_edits(planned), *self.compiled.notes, *self._outgrown(), *self._unimportable(planned)]
        if planned.unchanged:
            if self.options.traffic is not None:
                notes.append(
                    f"--traffic gives shares to new versions only; those of {planned.version} are in {ROLLOUT}."
                )
            return self._result(planned, {}, None, notes, written=False)
        files = self._files(planned)
        neighbours.check(self.directory.parent.parent, self.directory, planned.manifest, self.compiled)
        bundle.check_writable(self.directory, files)
        report = None
        if self.options.verify:
            progress("verifying that the gateway sends what DSPy sends")
            report = self._verify(planned, {**self.present, **files}, parity_progress)
        if not self.options.dry_run:
            self._check_untouched()
            bundle.write_tree(self.directory, files)
        return self._result(planned, files, report, notes, written=not self.options.dry_run)

    def _previous(self) -> Manifest:
        deadlines = _deadlines(self.options)
        if MANIFEST not in self.present:
            if any(path.endswith(".toml") for path in self.present):
                raise BundleError(
                    f"{self.directory}: has config but no {MANIFEST}, so it is not ours to write. "
                    "Choose another --name, or restore the manifest from version control."
                )
            return Manifest(self.directory.name, self.reference, deadlines)
        manifest = parse_manifest(self.present[MANIFEST], str(self.directory / MANIFEST))
        return replace(manifest, deadlines={**manifest.deadlines, **deadlines})

    def _shares(self, manifest: Manifest) -> traffic.Shares:
        if not manifest.versions:
            return {}
        if ROLLOUT not in self.present:
            raise HandEditedError(f"{self.rollout_path} is gone. Restore it from version control.")
        return traffic.read_shares(self.present[ROLLOUT], manifest, self.rollout_path)

    def _origin(self) -> Origin:
        return Origin(
            program=self.reference or self.previous.program,
            created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            dspy=installed("dspy"),
            t0dspy=installed("t0dspy"),
            parent=traffic.incumbent(self.shares),
            scores=self.options.scores,
            lineage=self.options.lineage,
        )

    def _hand_edits(self, planned: NextVersion) -> list[str]:
        """Notes on generated files that were changed; an error if this export would write over one.

        Raises:
            HandEditedError: it would.
        """
        edited = bundle.edited_by_hand(self.present, self.previous.files)
        told = {path: "was changed by hand" if path in self.present else "is gone" for path in edited}
        foreign = [path for path in planned.files if path in self.present and path not in self.previous.files]
        told |= dict.fromkeys(foreign, "is there, but t0dspy did not write it")
        lost = [f"{self.directory / path} {what}." for path, what in told.items() if path in planned.files]
        if lost:
            listed = "\n  ".join(lost)
            raise HandEditedError(
                f"this export would write over files that are not as t0dspy left them:\n  {listed}\n"
                "Restore them from version control, or move a file of your own away. What should change, change in the "
                "program or in tensorzero.toml."
            )
        return [f"{self.directory / path} {what} since t0dspy wrote it; left so." for path, what in told.items()]

    def _check_untouched(self) -> None:
        if bundle.read_tree(self.directory) != self.present:
            raise BundleError(
                f"{self.directory}: somebody changed it during this export. Nothing is written; try again."
            )

    def _outgrown(self) -> list[str]:
        """Versions in traffic that the program server could not run with the code as it is now."""
        notes = []
        for version, share in self.shares.items():
            by_server = self.previous.versions[version].served_by == "programs"
            misfit = misfits(self.live, self.previous, version, self.present) if by_server else []
            if misfit:
                notes.append(
                    f"{version} has {share:.0%} of the traffic, but the code no longer fits it: {misfit[0]}. Give its "
                    "share to a version that fits before this code is deployed."
                )
        return notes

    def _unimportable(self, planned: NextVersion) -> list[str]:
        by_server = planned.manifest.versions[planned.version].served_by == "programs"
        if planned.manifest.program is not None or not by_server:
            return []
        return ["it was given as an object, and the program server must import it: export it with import_path='...'."]

    def _files(self, planned: NextVersion) -> dict[str, str]:
        rollout = rollout_toml(self.present.get(ROLLOUT), planned, self.options.traffic, self.shares, self.rollout_path)
        hashes = {**self.previous.files, **{path: digest(text) for path, text in planned.files.items()}}
        manifest = self._with_history(planned.manifest.with_files(hashes), rollout)
        return {**planned.files, ROLLOUT: rollout, MANIFEST: manifest.to_json()}

    def _with_history(self, manifest: Manifest, rollout: str) -> Manifest:
        shares = traffic.read_shares(rollout, manifest, self.rollout_path)
        if shares == self.shares:
            return manifest
        entry = manifest.versions[manifest.newest or ""]
        return manifest.with_change(Change(entry.created, f"export of {manifest.newest}", self.shares, shares))

    def _verify(
        self, planned: NextVersion, files: Mapping[str, str], progress: Callable[[str, int], None]
    ) -> ParityReport:
        entry = planned.manifest.versions[planned.version]
        subjects = parity.subjects_of(self.live, entry, recorded=False)
        report = parity.compare(planned.version, entry.form, subjects, files, progress=progress)
        if not report.equal:
            raise WireInequalityError(parity.explain(report, f"{self.directory.name} {planned.version}"))
        return report

    def _result(
        self,
        planned: NextVersion,
        files: Mapping[str, str],
        report: ParityReport | None,
        notes: Sequence[str],
        *,
        written: bool,
    ) -> Export:
        entry = planned.manifest.versions[planned.version]
        shares = self.shares
        if files:
            shares = traffic.read_shares(files[ROLLOUT], planned.manifest, self.rollout_path)
        return Export(
            name=self.directory.name,
            version=planned.version,
            directory=self.directory,
            unchanged=planned.unchanged,
            diff=bundle.diff(self.present, files, planned.version, self.previous.newest),
            shares=shares,
            parity=report,
            served_by=entry.served_by,
            notes=tuple(notes),
            written=written,
        )


def _with_files(planned: NextVersion, beside: Mapping[str, str]) -> NextVersion:
    if planned.unchanged:
        return planned
    return replace(
        planned, files={**planned.files, **{f"{planned.version}/{name}": text for name, text in beside.items()}}
    )


def _deadlines(options: ExportOptions) -> dict[str, float]:
    stage, run = options.stage_timeout or DEADLINES["stage"], options.run_timeout or DEADLINES["run"]
    if stage >= run:
        raise CompileError.because(
            "stage_timeout", f"is {stage:g} s, not below the {run:g} s of run_timeout.", "A stage ends before its run."
        )
    return {"stage": stage, "run": run, "program": run + 30}
