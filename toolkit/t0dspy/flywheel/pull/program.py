"""An exported program as a pull needs it: a reader for each function, with the contracts that examples must fit."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from t0dspy.artifact.exported import ExportedProgram, program_directories
from t0dspy.artifact.variants import version_of
from t0dspy.errors import BundleError
from t0dspy.flywheel.pull.reader import Reader


@dataclass(frozen=True)
class PulledProgram:
    """An exported program with a function of its own, and how to read its inferences."""

    exported: ExportedProgram

    @property
    def name(self) -> str:
        """Return its name, which is that of its own function too."""
        return self.exported.name

    @cached_property
    def readers(self) -> Mapping[str, Reader]:
        """Return function -> how to read its inferences."""
        functions = self.exported.manifest.functions
        return {
            name: Reader(entry.type, *self.exported.schemas(name))
            for name, entry in functions.items()
            if not entry.blank  # a kept predictor has no fields that the gateway knows
        }

    @cached_property
    def predictors(self) -> Mapping[str, Reader]:
        """Return predictor -> how its inferences read under its contract in the newest version."""
        newest = self.exported.version(self.exported.manifest.newest or "")
        return {path: self.readers[entry.function] for path, entry in newest.predictors.items() if not entry.kept}

    def runs_on_server(self, version: str) -> bool:
        """Return whether the runs of a variant's version may have stages; true for a version that is not known here."""
        entry = self.exported.manifest.versions.get(version_of(version))
        return entry is None or entry.runs_on_server


def read_pulled_program(configs: Path, name: str, versions: Sequence[str] = ()) -> PulledProgram:
    """Read the program `name`, exported below `configs`.

    Raises:
        BundleError: there is no such program, it has no function of its own, or it lacks one of `versions`.
    """
    exported = ExportedProgram.read(configs, name)
    if name not in exported.manifest.functions:
        raise BundleError(
            f"{name} was exported with its stages only: no inference of it is logged, so there is nothing to pull. "
            "Export it again without --stages-only."
        )
    for version in versions:
        exported.version(version)
    return PulledProgram(exported)


def earlier_programs(configs: Path, program: PulledProgram) -> Sequence[PulledProgram]:
    """Return the programs whose contract this one broke (NAME and NAME_2 of NAME_3), oldest first.

    Only programs that were exported from the same import path count: without a path nothing is certain.
    """
    base, number = re.fullmatch(r"(.+?)(?:_(\d+))?", program.name).groups()  # type: ignore[union-attr]
    names = [base, *(f"{base}_{count}" for count in range(2, int(number)))] if number else []
    reference = program.exported.manifest.program
    if reference is None:
        return ()
    directories = {directory.name: directory for directory in program_directories(configs)}
    earlier = [ExportedProgram.from_directory(directories[name]) for name in names if name in directories]
    return [
        PulledProgram(exported)
        for exported in earlier
        if exported.manifest.program == reference and exported.name in exported.manifest.functions
    ]
