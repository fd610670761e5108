"""Exported versions as programs that can be run here: the live code with a version's instructions and demos."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import dspy

from t0dspy.artifact.bundle import ROLLOUT, read_json
from t0dspy.artifact.exported import program_directory, read_program
from t0dspy.artifact.manifest import Manifest, VersionEntry
from t0dspy.artifact.rollout_toml import Shares, incumbent, read_shares
from t0dspy.errors import BundleError, ProgramError, StateError
from t0dspy.program.fits import misfits
from t0dspy.program.load import load_program
from t0dspy.program.state import with_state
from t0dspy.program.types import program_types


@dataclass(frozen=True)
class Exported:
    """An exported program on disk, with its live code."""

    name: str
    directory: Path
    manifest: Manifest
    files: Mapping[str, str]
    code: dspy.Module

    @property
    def input_names(self) -> list[str]:
        """The program's input fields; of a program exported without a function of its own, those its code takes."""
        entry = self.manifest.functions.get(self.name)
        if entry is not None:
            return list(read_json(self.files, entry.input_schema, self.name)["properties"])
        return list(program_types(self.code, self.name).inputs)

    @property
    def shares(self) -> Shares:
        """Version -> share of the traffic, as written."""
        return read_shares(self.files.get(ROLLOUT, ""), self.manifest, str(self.directory / ROLLOUT))

    @property
    def incumbent(self) -> str:
        """The version with the largest share.

        Raises:
            BundleError: no version has traffic.
        """
        where = str(self.directory / ROLLOUT)
        found = incumbent(self.shares)
        if found is None:
            raise BundleError(f"{where}: gives no version of {self.name} any traffic, so there is no incumbent.")
        return found

    def entry(self, version: str) -> VersionEntry:
        """What the manifest says of `version`.

        Raises:
            BundleError: there is no such version.
        """
        if version not in self.manifest.versions:
            known = ", ".join(self.manifest.versions) or "none"
            raise BundleError(f"{self.name} has no version {version!r}; there are {known}.")
        return self.manifest.versions[version]

    def program(self, version: str) -> dspy.Module:
        """The live code with the instructions, demos and sampling of `version`; models are those of the code.

        Raises:
            BundleError: there is no such version.
            ProgramError: the code does not fit it any more.
        """
        entry = self.entry(version)
        state = read_json(self.files, f"{version}/state.json", self.name)
        try:
            program, _ = with_state(self.code, state, f"{self.name}/{version}/state.json")
        except StateError as error:
            raise ProgramError(f"the code no longer fits {self.name} {version}: {error} Export it again.") from error
        misfit = misfits(program, self.manifest, version, self.files)
        if misfit:
            raise ProgramError(f"the code no longer fits {self.name} {version}: {misfit[0]}. Export it again.")
        own = {path: predict.lm for path, predict in self.code.named_predictors()}
        for path, predict in program.named_predictors():
            predict.lm = predict.lm or own[path]
            if predict.lm is None:
                predict.config = {**_as_dspy(entry.predictors[path].sampling), **predict.config}
        return program


def exported(name: str, configs: Path, program: dspy.Module | None = None) -> Exported:
    """The exported program `name`, its code imported as the manifest says unless `program` is given.

    Raises:
        BundleError: there is no such program.
        ProgramError: it cannot be imported.
    """
    directory = program_directory(configs, name)
    manifest, files = read_program(directory)
    if program is None:
        if manifest.program is None:
            raise ProgramError(
                f"{name} was exported from a live object, so it cannot be imported. Export it once with an import "
                "path, such as `t0dspy export app.review:program`."
            )
        program = load_program(manifest.program)
    return Exported(name, directory, manifest, files, program)


def current_shares(found: Exported) -> Shares:
    """Return the shares as they are written now, which may differ from those that `found` was read with."""
    manifest, files = read_program(found.directory)
    return replace(found, manifest=manifest, files=files).shares


def _as_dspy(sampling: Mapping[str, object]) -> dict[str, object]:
    """Variant keys as DSPy calls them."""
    return {("stop" if name == "stop_sequences" else name): value for name, value in sampling.items()}
