"""Generated files that are not as an export wrote them: which, of which version, and what to do about it."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from t0dspy import bundle
from t0dspy.manifest import Manifest
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


def find_hand_edits(manifest: Manifest, files: Mapping[str, str]) -> list[HandEdit]:
    """Return the generated files of a program that differ from their hashes in the manifest.

    `rollout.toml` is the user's to edit and has no hash. A manifest without hashes finds nothing.

    Args:
        manifest: the program's manifest.
        files: its tree, path -> text.
    """
    paths = bundle.edited_by_hand(files, manifest.files)
    return [HandEdit(path, _version_of(path, manifest), _kind(path, manifest, files)) for path in paths]


def hand_edit_notes(
    directory: Path, manifest: Manifest, files: Mapping[str, str], versions: Collection[str] | None = None
) -> list[str]:
    """Return a line for each hand-edited file of a program, and one for all files with other line endings.

    Args:
        directory: the program's directory, for the messages.
        manifest: the program's manifest.
        files: its tree, path -> text.
        versions: leave out the files of other versions; None for all of them.
    """
    edits = [one for one in find_hand_edits(manifest, files) if versions is None or one.version in {None, *versions}]
    notes = [_note(directory, manifest, edit) for edit in edits if edit.kind != "line endings"]
    crlf = [edit for edit in edits if edit.kind == "line endings"]
    if crlf:
        count = "1 file has" if len(crlf) == 1 else f"{len(crlf)} files have"
        notes.append(
            f"{directory}: {count} CRLF line endings instead of LF, such as {crlf[0].path}. Git writes them with "
            f"core.autocrlf, and prompts change with them. Add `{directory.as_posix()}/** -text` to .gitattributes and "
            "check the files out again."
        )
    return notes


def _note(directory: Path, manifest: Manifest, edit: HandEdit) -> str:
    path = directory / edit.path
    happened = "is missing" if edit.kind == "missing" else "was changed by hand"
    since = f"since {edit.version} was exported" if edit.version else "since it was exported"
    check = f"t0dspy verify {manifest.name}" + (f" --version {edit.version}" if edit.version else "")
    effect = "" if edit.kind == "missing" else f" The gateway uses it as it is; `{check}` compares the prompts."
    return f"{path} {happened} {since}.{effect} Restore it from version control: git checkout -- {path}"


def _version_of(path: str, manifest: Manifest) -> str | None:
    found = re.match(r"(v\d+)/", path)
    return found[1] if found and found[1] in manifest.versions else None


def _kind(path: str, manifest: Manifest, files: Mapping[str, str]) -> Kind:
    if path not in files:
        return "missing"
    same_lines = digest(files[path].replace("\r\n", "\n")) == manifest.files[path]
    return "line endings" if same_lines else "changed"
