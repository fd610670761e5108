"""An exported program as it is on disk: `ExportedProgram`, and where programs are below the configs. No DSPy."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from t0dspy.artifact import bundle, rollout_toml
from t0dspy.artifact.bundle import MANIFEST, ROLLOUT
from t0dspy.artifact.manifest import Manifest, VersionEntry, parse_manifest
from t0dspy.artifact.names import check_program_name, differs_in_case_only
from t0dspy.artifact.text_values import without_text
from t0dspy.errors import BundleError, HandEditedError
from t0dspy.model import Schema, digest

NO_FIELDS: Schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


@dataclass(frozen=True)
class ExportedProgram:
    """One reading of a program's directory: its manifest and its files. Later changes on disk do not show."""

    directory: Path
    manifest: Manifest
    files: Mapping[str, str] = field(repr=False)
    """Path below `directory` -> text."""

    @classmethod
    def read(cls, configs: Path, name: str) -> Self:
        """Read the program `name` below `configs`, the directory of TensorZero's config.

        Raises:
            SettingsError: `name` is not the name of a program.
            BundleError: there is no such program, or it cannot be read.
        """
        return cls.from_directory(program_directory(configs, name))

    @classmethod
    def from_directory(cls, directory: Path) -> Self:
        """Read the program at `directory`.

        Raises:
            BundleError: there is no program, or it cannot be read.
        """
        files = bundle.read_tree(directory)
        if MANIFEST not in files:
            names = ", ".join(path.name for path in _directories(directory.parent))
            hint = f"there are {names}" if names else "nothing is exported yet; see `t0dspy export --help`"
            raise BundleError(f"no exported program {directory.name!r} in {directory.parent}: {hint}.")
        return cls(directory, parse_manifest(files[MANIFEST], str(directory / MANIFEST)), files)

    @classmethod
    def read_all(cls, configs: Path) -> Iterator[Self]:
        """Read all exported programs below `configs`, in the order of their names.

        Raises:
            BundleError: a program cannot be read.
        """
        return map(cls.from_directory, program_directories(configs))

    @property
    def name(self) -> str:
        """Return its name at the gateway."""
        return self.manifest.name

    @property
    def rollout_path(self) -> str:
        """Return the path of `rollout.toml`, for messages."""
        return str(self.directory / ROLLOUT)

    @cached_property
    def shares(self) -> rollout_toml.Shares:
        """Return version -> share of the traffic, as `rollout.toml` has them; empty before the first version.

        Raises:
            HandEditedError: `rollout.toml` is gone.
            SettingsError: it is not TOML, or a share is wrong.
        """
        if not self.manifest.versions:
            return {}
        return rollout_toml.read_shares(self.file(ROLLOUT), self.manifest, self.rollout_path)

    @property
    def incumbent(self) -> str:
        """Return the version with the largest share.

        Raises:
            BundleError: no version has traffic.
        """
        version = rollout_toml.incumbent(self.shares)
        if version is None:
            raise BundleError(f"{self.rollout_path}: gives no version of {self.name} any traffic. Name a version.")
        return version

    def version(self, version: str) -> VersionEntry:
        """Return the manifest's entry of `version`.

        Raises:
            BundleError: there is no such version; the message lists the versions.
        """
        if version not in self.manifest.versions:
            raise BundleError(f"{self.manifest.unknown_version(version)}.")
        return self.manifest.versions[version]

    def file(self, path: str) -> str:
        """Return the text of a generated file.

        Raises:
            HandEditedError: it is gone.
        """
        if path not in self.files:
            raise HandEditedError(f"{self.directory / path} is gone. Restore it from version control.")
        return self.files[path]

    def json(self, path: str) -> Any:
        """Return the JSON object in a generated file.

        Raises:
            HandEditedError: the file is gone, or does not hold a JSON object.
        """
        return bundle.parse_object(self.file(path), str(self.directory / path))

    def state(self, version: str) -> dict[str, Any]:
        """Return DSPy's state of `version`, as the export saved it; raises like `json`."""
        state: dict[str, Any] = self.json(f"{version}/state.json")
        return state

    def schemas(self, function: str) -> tuple[Schema, Schema]:
        """Return the schemas of the inputs and the outputs of `function`, with the types of its fields.

        The gateway also takes text values for inputs (`artifact.text_values`), which the first schema leaves out. The
        function of a kept predictor has no schemas, so those without fields are returned.

        Raises:
            HandEditedError: a schema file is gone, or does not hold a schema with fields.
        """
        entry = self.manifest.functions[function]
        if entry.blank:
            return NO_FIELDS, NO_FIELDS
        inputs, outputs = self._schema(entry.input_schema), self._schema(entry.output_schema)
        return without_text(inputs) if entry.takes_text else inputs, outputs

    def _schema(self, path: str) -> Schema:
        schema: Schema = self.json(path)
        if digest(self.files[path]) != self.manifest.files.get(path):  # what the export wrote needs no check
            self._check_schema(schema, path)
        return schema

    def _check_schema(self, schema: Schema, path: str) -> None:
        import jsonschema  # takes 0.1 s to import, and most commands do not need it

        try:
            jsonschema.Draft202012Validator.check_schema(schema)
            reason = "" if "properties" in schema else "it has no `properties`"
        except jsonschema.SchemaError as error:
            reason = error.message[:200]
        if reason:
            raise HandEditedError(
                f"{self.directory / path} was changed by hand and is not the schema of an object's fields ({reason}). "
                "Restore it from version control."
            )


def program_directory(configs: Path, name: str) -> Path:
    """Return the directory of the program `name` below `configs`: only this function makes a path of a name.

    Raises:
        SettingsError: `name` is not the name of a program.
        BundleError: the directory is a link, or there is only a directory whose name differs in case.
    """
    programs = programs_root(configs)
    directory = programs / check_program_name(name)
    bundle.check_place(directory)
    other = differs_in_case_only(name, os.listdir(programs)) if programs.is_dir() else None
    if other is not None and (not directory.exists() or directory.samefile(programs / other)):
        raise BundleError(f"{programs} has no program {name!r}, but {other!r}. Upper and lower case are different.")
    return directory


def program_directories(configs: Path) -> list[Path]:
    """Return the directories below `configs` that hold an exported program, sorted by name.

    Links are left out, because the gateway's config glob does not follow them.
    """
    return _directories(programs_root(configs))


def programs_root(configs: Path) -> Path:
    """Return the directory below `configs` that has a directory for each program."""
    return configs / "programs"


def _directories(root: Path) -> list[Path]:
    directories = (path.parent for path in root.glob(f"*/{MANIFEST}"))
    return sorted(directory for directory in directories if not directory.is_symlink())
