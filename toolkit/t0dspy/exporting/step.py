"""Export a program into its directory, from the plan to the files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path

import dspy

from t0dspy import parity
from t0dspy.artifact import bundle, clashes, rollout_toml
from t0dspy.artifact.bundle import MANIFEST, ROLLOUT
from t0dspy.artifact.exported import ExportedProgram
from t0dspy.artifact.hand_edits import Kind, find_hand_edits, hand_edit_notes
from t0dspy.artifact.manifest import Change, Manifest, parse_manifest, review_reason
from t0dspy.compiler.next_version import DEADLINES, NextVersion, Origin, next_version, render_rollout
from t0dspy.errors import BundleError, CompileError, HandEditedError, RunInequalityError, WireInequalityError
from t0dspy.exporting.options import Export, ExportOptions
from t0dspy.model import CompiledProgram, digest
from t0dspy.parity.prove_runs import prove_runs
from t0dspy.parity.report import ParityReport
from t0dspy.parity.run_report import RunReport, explain_runs
from t0dspy.program.fits import differences

Progress = Callable[[str], None]

_HAND_EDITS: Mapping[Kind, str] = {
    "changed": "was changed by hand",
    "missing": "is missing",
    "line endings": "has CRLF line endings, as git's core.autocrlf writes them",
}


class ExportStep:
    """An export: the constructor plans it, and `run` performs it."""

    def __init__(
        self,
        live: dspy.Module,
        compiled: CompiledProgram,
        directory: Path,
        options: ExportOptions,
        reference: str | None,
    ) -> None:
        """Plan the next version for the current content of `directory`. Raises BundleError and SettingsError."""
        self.live, self.compiled, self.directory, self.options = live, compiled, directory, options
        self.reference = reference
        files = bundle.read_tree(directory)
        self.before = ExportedProgram(directory, self._previous(files), files)
        self.planned = _with_files(next_version(compiled, self.before.manifest, self._origin()), options.beside)

    def run(self, notes: list[str], progress: Progress, parity_progress: Callable[[str, int], None]) -> Export:
        """Verify the plan and write it unless this is a dry run; raises what `t0dspy.export` documents."""
        planned = self.planned
        notes += [*self._hand_edits(planned), *self.compiled.notes, *self._misfit_notes(), *self._import_notes(planned)]
        if planned.unchanged:
            if self.options.traffic is not None:
                notes.append(
                    f"--traffic only applies to new versions; the shares of {planned.version} are in {ROLLOUT}."
                )
            return self._result(planned, {}, None, None, notes, written=False)
        files = self._files(planned)
        clashes.check(self.directory.parent.parent, self.directory, planned.manifest, self.compiled)
        bundle.check_writable(self.directory, files)
        report = runs = None
        if self.options.verify:
            progress("verifying that the gateway sends what DSPy sends")
            report = self._verify(planned, {**self.before.files, **files}, parity_progress)
            runs = self._run_program(planned, {**self.before.files, **files}, progress)
        if not self.options.dry_run:
            self._check_unchanged()
            bundle.write_tree(self.directory, files)
        return self._result(planned, files, report, runs, notes, written=not self.options.dry_run)

    def _previous(self, files: Mapping[str, str]) -> Manifest:
        deadlines = _deadlines(self.options)
        if MANIFEST not in files:
            if any(path.endswith(".toml") for path in files):
                raise BundleError(
                    f"{self.directory}: has config files but no {MANIFEST}, so t0dspy did not create it. "
                    "Choose another --name, or restore the manifest from version control."
                )
            return Manifest(self.directory.name, self.reference, deadlines)
        manifest = parse_manifest(files[MANIFEST], str(self.directory / MANIFEST))
        return replace(manifest, deadlines={**manifest.deadlines, **deadlines})

    def _origin(self) -> Origin:
        return Origin(
            program=self.reference or self.before.manifest.program,
            created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            dspy=installed("dspy"),
            t0dspy=installed("t0dspy"),
            parent=rollout_toml.incumbent(self.before.shares),
            scores=self.options.scores,
            lineage=self.options.lineage,
        )

    def _hand_edits(self, planned: NextVersion) -> list[str]:
        """Return notes on generated files that were edited by hand.

        Raises:
            HandEditedError: if this export would overwrite one.
        """
        edits = {edit.path: _HAND_EDITS[edit.kind] for edit in find_hand_edits(self.before)}
        foreign = [
            path for path in planned.files if path in self.before.files and path not in self.before.manifest.files
        ]
        edits |= dict.fromkeys(foreign, "exists, but t0dspy did not write it")
        lost = [f"{self.directory / path} {state}." for path, state in edits.items() if path in planned.files]
        if lost:
            listed = "\n  ".join(lost)
            raise HandEditedError(
                f"this export would overwrite files that t0dspy did not write in this form:\n  {listed}\n"
                "Restore them from version control, or move your own files away. Make changes in the program or in "
                "tensorzero.toml."
            )
        return hand_edit_notes(self.before)

    def _check_unchanged(self) -> None:
        if bundle.read_tree(self.directory) != self.before.files:
            raise BundleError(f"{self.directory}: was changed during this export, so nothing was written. Try again.")

    def _misfit_notes(self) -> list[str]:
        """Return a note for each version with traffic that the program server cannot run with the current code."""
        notes = []
        for version, share in self.before.shares.items():
            by_server = self.before.version(version).runs_on_server
            difference = differences(self.live, self.before, version) if by_server else []
            if difference:
                notes.append(
                    f"{version} has {share:.0%} of the traffic, but the code no longer fits it: {difference[0]}. Give "
                    "its share to a version that fits before this code is deployed."
                )
        return notes

    def _import_notes(self, planned: NextVersion) -> list[str]:
        by_server = planned.manifest.versions[planned.version].runs_on_server
        if planned.manifest.program is not None or not by_server:
            return []
        return ["the program is an object, but the program server must import it: export it with import_path='...'."]

    def _files(self, planned: NextVersion) -> dict[str, str]:
        shares = self._shares_beside() if self.options.traffic is not None else self.before.shares
        rollout = render_rollout(
            self.before.files.get(ROLLOUT), planned, self.options.traffic, shares, self.before.rollout_path
        )
        hashes = {**self.before.manifest.files, **{path: digest(text) for path, text in planned.files.items()}}
        manifest = self._with_history(planned.manifest.with_files(hashes), rollout)
        return {**planned.files, ROLLOUT: rollout, MANIFEST: manifest.to_json()}

    def _shares_beside(self) -> rollout_toml.Shares:
        """Return the shares that remain beside the new version; the incumbent always keeps some traffic."""
        replaced = {*self.options.replaces} - {rollout_toml.incumbent(self.before.shares)}
        return {version: share for version, share in self.before.shares.items() if version not in replaced}

    def _with_history(self, manifest: Manifest, rollout: str) -> Manifest:
        shares = rollout_toml.read_shares(rollout, manifest, self.before.rollout_path)
        version = manifest.newest or ""
        entry = manifest.versions[version]
        if (entry.lineage or {}).get("review") and version not in shares:
            return manifest.with_change(Change(entry.created, review_reason(version), self.before.shares, shares))
        if shares == self.before.shares:
            return manifest
        return manifest.with_change(Change(entry.created, f"export of {version}", self.before.shares, shares))

    def _verify(
        self, planned: NextVersion, files: Mapping[str, str], progress: Callable[[str, int], None]
    ) -> ParityReport:
        manifest = parse_manifest(files[MANIFEST], str(self.directory / MANIFEST))
        exported = ExportedProgram(self.directory, manifest, files)
        report = parity.compare(self.live, exported, planned.version, progress=progress)
        if not report.equal:
            raise WireInequalityError(parity.explain(report, f"{self.directory.name} {planned.version}"))
        return report

    def _run_program(
        self, planned: NextVersion, files: Mapping[str, str], progress: Callable[[str], None]
    ) -> RunReport:
        if not self.options.run_proof:
            return RunReport(skipped="run_proof is off")
        manifest = parse_manifest(files[MANIFEST], str(self.directory / MANIFEST))
        exported = ExportedProgram(self.directory, manifest, files)
        report = prove_runs(self.live, exported, planned.version, examples=self.options.examples, progress=progress)
        if not report.equal:
            raise RunInequalityError(explain_runs(report, f"{self.directory.name} {planned.version}"))
        return report

    def _result(
        self,
        planned: NextVersion,
        files: Mapping[str, str],
        report: ParityReport | None,
        runs: RunReport | None,
        notes: Sequence[str],
        *,
        written: bool,
    ) -> Export:
        entry = planned.manifest.versions[planned.version]
        shares = self.before.shares
        if files:
            shares = rollout_toml.read_shares(files[ROLLOUT], planned.manifest, self.before.rollout_path)
        return Export(
            name=self.directory.name,
            version=planned.version,
            directory=self.directory,
            unchanged=planned.unchanged,
            diff=bundle.diff(self.before.files, files, planned.version, self.before.manifest.newest),
            shares=shares,
            parity=report,
            runs=runs,
            served_by=entry.served_by,
            notes=tuple(notes),
            written=written,
            kept=[path for path, predictor in entry.predictors.items() if predictor.kept],
            hand_edited=any(edit.version in (None, planned.version) for edit in find_hand_edits(self.before)),
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
            "stage_timeout",
            f"is {stage:g} s, not below the {run:g} s of run_timeout.",
            "A stage must time out before its run.",
        )
    return {"stage": stage, "run": run, "program": run + 30}
