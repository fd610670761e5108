"""The file that stores which of the three sets each example is in, so that no example ever changes its set."""

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
    """Handle -> the set of everything that is tied to it."""

    sets: Mapping[str, SetName] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the state from the file at `path`; without a file it is empty.

        Raises:
            SetStateError: the file cannot be read, or `write` did not write it.
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
            return cls(_parse(raw))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise SetStateError(f"{path}: damaged ({_describe(error)}).{_REMEDY}") from error

    def to_json(self) -> str:
        """Return the text of the state's file, the same for equal states."""
        sets = {name: sorted(handle for handle, assigned in self.sets.items() if assigned == name) for name in SETS}
        return json.dumps({"format": FORMAT, "digest": digest(sets), "sets": sets}, indent=0) + "\n"

    def write(self, path: Path) -> None:
        """Replace the file at `path`; after a kill, it is the old one or the new one.

        Raises:
            SetStateError: the disk refuses the write; the old file is unchanged.
        """
        try:
            private.make(path.parent)
            atomic.replace_file(path, self.to_json())
        except OSError as error:
            raise SetStateError(f"{path}: cannot be written ({error}). The previous sets are unchanged.") from error


_REMEDY = (
    " It keeps holdout examples out of training. Restore it from a backup. Without it the sets are drawn again, and"
    " examples that an earlier version was trained on may come into its holdout."
)


def _check_format(raw: Any, path: Path) -> None:
    if isinstance(raw, dict) and "sets" in raw and raw.get("format") != FORMAT:
        raise SetStateError(
            f"{path}: of format {raw.get('format')!r}; this t0dspy reads format {FORMAT}. Use the t0dspy that wrote it."
        )


def _parse(raw: dict[str, Any]) -> dict[str, SetName]:
    sets = raw["sets"]
    if list(sets) != list(SETS):
        raise ValueError(f"its sets are {', '.join(sets)}")
    if digest(sets) != raw["digest"]:
        raise ValueError("its content does not match its digest, so it was edited or merged")
    assigned: dict[str, SetName] = {}
    for name in SETS:
        for handle in sets[name]:
            check_handle(handle)
            if assigned.setdefault(handle, name) != name:
                raise ValueError(f"{handle[:40]} is in {assigned[handle]} and {name}")
    return assigned


def _describe(error: Exception) -> str:
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error)
