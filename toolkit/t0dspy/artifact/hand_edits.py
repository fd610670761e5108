"""Generated files that are not as an export wrote them: which, of which version, and what to do about it."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from t0dspy.artifact import bundle
from t0dspy.artifact.exported import ExportedProgram
from t0dspy.model import digest

Kind = Literal["changed", "missing", "line endings"]


@dataclass(frozen=True)
class HandEdit:
    """One generated file that differs from what the manifest recorded."""

    path: str
    """Below the program's directory."""
    version: str | None
    """The version that it belongs to; None where all versions share it."""
    kind: Kind


def find_hand_edits(program: ExportedProgram) -> list[HandEdit]:
    """Return the generated files of a program that differ from their hashes in the manifest.

    `rollout.toml` is the user's to edit and has no hash. A manifest without hashes finds nothing.
    """
    paths = bundle.edited_by_hand(program.files, program.manifest.files)
    return [HandEdit(path, _version_of(path, program), _kind(path, program)) for path in paths]


def hand_edit_notes(program: ExportedProgram, versions: Collection[str] | None = None) -> list[str]:
    """Return a line for each version of a program with hand-edited files, which names the files and what to do.

    Args:
        program: the program.
        versions: leave out the files of other versions; None for all of them.
    """
    groups: dict[tuple[str | None, Kind], list[str]] = {}
    for edit in find_hand_edits(program):
        if versions is None or edit.version in {None, *versions}:
            groups.setdefault((edit.version, edit.kind), []).append((program.directory / edit.path).as_posix())
    return [_note(program, version, kind, paths) for (version, kind), paths in groups.items()]


def _note(program: ExportedProgram, version: str | None, kind: Kind, paths: list[str]) -> str:
    name, directory = program.name, program.directory.as_posix()
    which = f"{name} {version}" if version else name
    listed = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
    if kind == "line endings":
        return (
            f"{which}: {listed} {_have(paths)} CRLF line endings in place of LF, as git's core.autocrlf writes, so "
            f"the prompts differ. Add `{directory}/** -text` to .gitattributes and check out again."
        )
    restore = f"Restore with `git checkout -- {' '.join(paths[:3]) if len(paths) < 4 else directory}`."
    if kind == "missing":
        return f"{which}: {listed} {'is' if len(paths) == 1 else 'are'} missing since the export. {restore}"
    verify = f"t0dspy verify {name}" + (f" --version {version}" if version else "")
    return (
        f"{which}: {listed} {'was' if len(paths) == 1 else 'were'} changed by hand since the export, and the gateway "
        f"serves the changed text. `{verify}` compares the prompts. {restore}"
    )


def _have(paths: list[str]) -> str:
    return "has" if len(paths) == 1 else "have"


def _version_of(path: str, program: ExportedProgram) -> str | None:
    match = re.match(r"(v\d+)/", path)
    return match[1] if match and match[1] in program.manifest.versions else None


def _kind(path: str, program: ExportedProgram) -> Kind:
    if path not in program.files:
        return "missing"
    same_lines = digest(program.files[path].replace("\r\n", "\n")) == program.manifest.files[path]
    return "line endings" if same_lines else "changed"
