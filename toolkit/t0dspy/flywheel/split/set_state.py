"""The file that remembers which of the three sets each example is in, so that none ever moves."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, get_args

from localkit import atomic, private
from t0dspy.errors import SetStateError
from t0dspy.flywheel.split.handles import check_handle
from t0dspy.model import digest

SetName = Literal["train", "validation", "holdout"]
SETS: tuple[SetName, ...] = get_args(SetName)
FORMAT = 1


@dataclass(frozen=True)
class SetState:
    """Handle -> the set that everything tied to it belongs to."""

    sets: Mapping[str, SetName] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The state in the file at `path`; an empty one where there is no file.

        Raises:
            SetStateError: it cannot be read, or is not what `write` wrote.
        """
        try:
            text = path.read_bytes().decode("utf-8")
        except FileNotFoundError:
            return cls()
        except (OSError, UnicodeDecodeError) as error:
            raise SetStateError(f"{path}: cannot be read ({error}).{_REMEDY}") from error
        try:
            raw = json.loads(text)
            _check_format(raw, path)
            return cls(_parsed(raw))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise SetStateError(f"{path}: damaged ({_said(error)}).{_REMEDY}") from error

    def to_json(self) -> str:
        """The state as the text of its file: the same for equal states."""
        sets = {name: sorted(handle for handle, one in self.sets.items() if one == name) for name in SETS}
        return json.dumps({"format": FORMAT, "digest": digest(sets), "sets": sets}, indent=0) + "\n"

    def write(self, path: Path) -> None:
        """Put the state in the place of the file at `path`; a kill leaves the old one or the new one.

        Raises:
            SetStateError: the disk refuses; then the old file is as it was.
        """
        try:
            private.make(path.parent)
            atomic.replace_file(path, self.to_json())
        except OSError as error:
            raise SetStateError(f"{path}: cannot be written ({error}). The sets of before still hold.") from error


_REMEDY = (
    " It keeps judging examples out of training. Restore it from a backup; without it the sets are drawn anew, and what"
    " an earlier version was trained on may come up in its judging."
)


def _check_format(raw: Any, path: Path) -> None:
    if isinstance(raw, dict) and "sets" in raw and raw.get("format") != FORMAT:
        raise SetStateError(
            f"{path}: of format {raw.get('format')!r}; this t0dspy reads format {FORMAT}. Use the t0dspy that wrote it."
        )


def _parsed(raw: dict[str, Any]) -> dict[str, SetName]:
    sets = raw["sets"]
    if list(sets) != list(SETS):
        raise ValueError(f"its sets are {', '.join(sets)}")
    if digest(sets) != raw["digest"]:
        raise ValueError("its content does not fit its digest: it was edited or merged")
    found: dict[str, SetName] = {}
    for name in SETS:
        for handle in sets[name]:
            check_handle(handle)
            if found.setdefault(handle, name) != name:
                raise ValueError(f"{handle[:40]} is in {found[handle]} and {name}")
    return found


def _said(error: Exception) -> str:
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error)
