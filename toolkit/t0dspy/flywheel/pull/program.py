"""An exported program as a pull needs it: which function holds what, and the contracts that examples must fit now."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from t0dspy.artifact.bundle import read_json
from t0dspy.artifact.exported import program_directories, program_directory, read_program
from t0dspy.artifact.manifest import FunctionEntry, Manifest
from t0dspy.errors import BundleError
from t0dspy.flywheel.pull.reader import Reader


@dataclass(frozen=True)
class ExportedProgram:
    """A program with a function of its own."""

    manifest: Manifest
    files: Mapping[str, str]

    @property
    def function(self) -> FunctionEntry:
        """The program's own function."""
        return self.manifest.functions[self.manifest.name]

    @property
    def stages(self) -> Sequence[str]:
        """The functions of its predictors, those of earlier contracts included."""
        return [name for name, entry in self.manifest.functions.items() if entry.predictor is not None]

    @cached_property
    def readers(self) -> Mapping[str, Reader]:
        """Function -> how to read its inferences."""
        return {name: self._reader(entry) for name, entry in self.manifest.functions.items()}

    def predictor_of(self, function: str, version: str) -> str:
        """DSPy's path of the predictor that `function` held in `version`."""
        entry = self.manifest.versions.get(version)
        held = {one.function: path for path, one in entry.predictors.items()} if entry else {}
        return held.get(function) or self.manifest.functions[function].predictor or ""

    def runs_on_server(self, version: str) -> bool:
        """Whether a run of `version` has stages, as far as is known."""
        entry = self.manifest.versions.get(version)
        return entry is None or entry.served_by == "programs"

    @cached_property
    def predictors(self) -> Mapping[str, Reader]:
        """Predictor -> how its inferences read under its contract in the newest version."""
        newest = self.manifest.versions[self.manifest.newest or ""]
        return {path: self.readers[one.function] for path, one in newest.predictors.items()}

    def _reader(self, entry: FunctionEntry) -> Reader:
        inputs, outputs = (
            read_json(self.files, path, self.manifest.name) for path in (entry.input_schema, entry.output_schema)
        )
        return Reader(entry.type, inputs, outputs)


def exported_program(configs: Path, name: str, versions: Sequence[str] = ()) -> ExportedProgram:
    """The program `name`, exported below `configs`.

    Raises:
        BundleError: there is none, it has no function of its own, or not these `versions`.
    """
    manifest, files = read_program(program_directory(configs, name))
    if name not in manifest.functions:
        raise BundleError(
            f"{name} was exported with its stages only: no inference of it is logged, so there is nothing to pull. "
            "Export it again without --stages-only."
        )
    for version in versions:
        if version not in manifest.versions:
            raise BundleError(f"{name} has no version {version!r}; there are {', '.join(manifest.versions)}.")
    return ExportedProgram(manifest, files)


def earlier_programs(configs: Path, program: ExportedProgram) -> Sequence[ExportedProgram]:
    """The programs whose contract this one broke (NAME and NAME_2 of NAME_3), oldest first.

    Only those that were exported from the same import path: where that is unknown, nothing is certain.
    """
    name = program.manifest.name
    base, number = re.fullmatch(r"(.+?)(?:_(\d+))?", name).groups()  # type: ignore[union-attr]
    names = [base, *(f"{base}_{one}" for one in range(2, int(number)))] if number else []
    reference = program.manifest.program
    if reference is None:
        return ()
    there = {directory.name: directory for directory in program_directories(configs)}
    found = [ExportedProgram(*read_program(there[earlier])) for earlier in names if earlier in there]
    return [one for one in found if one.manifest.program == reference and one.manifest.name in one.manifest.functions]
