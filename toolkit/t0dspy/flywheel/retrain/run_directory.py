"""Where a retrain keeps what it did: a directory a run, so that a run that was cut off can go on.

    .t0dspy/retrain/NAME/
      sets.json            which example is in which set, for good
      last.json            what the last finished run had seen
      runs/20261121T093000Z/
        run.json           what was asked, and of which incumbent
        pulled.jsonl       what was pulled; sets-*.jsonl what came of it
        answers.jsonl      every answer of a model
        report.json, report.html, optimizer.log
        failed.json          in place of a report, where a resumed run would fail again

All of it is JSON and text; nothing in it is executed or unpickled.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from localkit import atomic, locks, private
from localkit.errors import LockedError
from localkit.json_shape import ShapeError, shaped
from t0dspy.artifact.names import check_program_name
from t0dspy.errors import RetrainError, SettingsError
from t0dspy.flywheel.example import PulledExample

T = TypeVar("T")

REPORT = "report.json"
FAILED = "failed.json"
"""Of a run that is not to be resumed: its error."""


class Home:
    """`.t0dspy/retrain/NAME`."""

    def __init__(self, root: Path, name: str) -> None:
        """`root` is the project's `.t0dspy`."""
        self.directory = root / "retrain" / check_program_name(name)
        self.name = name

    @property
    def sets(self) -> Path:
        """The file that remembers the sets."""
        return self.directory / "sets.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the right to retrain the program.

        Raises:
            RetrainError: another process holds it, or the directory cannot be written.
        """
        with ExitStack() as stack:
            try:
                private.make(self.directory)
                private.tighten(self.directory)
                stack.enter_context(locks.hold(self.directory / "lock"))
            except LockedError:
                raise RetrainError(
                    f"another retrain of {self.name} is running; two at once would overtake each other."
                ) from None
            except OSError as error:
                raise RetrainError(f"{self.directory}: cannot be written ({error.strerror}).") from error
            yield

    def new_run(self, now: datetime) -> "RunDirectory":
        """A directory for a new run."""
        stem = now.strftime("%Y%m%dT%H%M%SZ")
        runs = self.directory / "runs"
        names = [stem, *(f"{stem}-{number}" for number in range(2, 100))]
        return RunDirectory(next(runs / one for one in names if not (runs / one).exists()))

    def unfinished(self) -> "RunDirectory | None":
        """The newest run, if it was cut off."""
        runs = sorted(path for path in (self.directory / "runs").glob("*") if (path / "run.json").exists())
        if not runs or any((runs[-1] / name).exists() for name in (REPORT, FAILED)):
            return None
        return RunDirectory(runs[-1])

    def last(self) -> "Last | None":
        """What the last finished run had seen; None before the first."""
        return read_shaped(self.directory / "last.json", Last)

    def finished(self, seen: Mapping[str, Any]) -> None:
        """Note what a finished run had seen."""
        write_text(self.directory / "last.json", json.dumps(seen, indent=2) + "\n")


@dataclass(frozen=True)
class Last:
    """`last.json`."""

    run: str
    seen: str


@dataclass(frozen=True)
class Beginning:
    """`run.json`: what a run began with."""

    until: str
    incumbent: str
    content: str
    asked: str


@dataclass(frozen=True)
class Pulled:
    """What a run needs of `pull.json`."""

    since: str = ""
    until: str = ""
    drops: Mapping[str, int] = field(default_factory=dict)


class RunDirectory:
    """The directory of one run. What is in it was written whole, or is not there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def pulled(self) -> Pulled:
        """What the pull said."""
        return read_shaped(self.path / "pull.json", Pulled) or Pulled()

    def write_json(self, name: str, value: Any) -> None:
        """Keep `value` as the file `name`."""
        write_text(self.path / name, json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def write_examples(self, name: str, examples: Iterable[PulledExample]) -> None:
        """Keep examples as lines of `pull`."""
        write_text(self.path / name, "".join(one.to_line() + "\n" for one in examples))

    def read_examples(self, name: str) -> list[PulledExample] | None:
        """The examples in the file `name`; None where there is none."""
        path = self.path / name
        if not path.exists():
            return None
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
            return [PulledExample.from_object(json.loads(line), str(path)) for line in lines if line]
        except (OSError, ValueError, TypeError, AttributeError, RecursionError, SettingsError) as error:
            raise RetrainError(f"{path}: cannot be read ({error}). Start anew, without --resume.") from error


def read_json(path: Path) -> Any:
    """Return the JSON in the file at `path`; None where there is no file.

    Raises:
        RetrainError: it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise RetrainError(f"{path}: cannot be read ({error}). Remove it to start anew.") from error


def read_shaped(path: Path, kind: type[T]) -> T | None:
    """Return the JSON in the file at `path` as `kind`; None where there is no file.

    Raises:
        RetrainError: it cannot be read, or is not what t0dspy wrote; names the key.
    """
    raw = read_json(path)
    if raw is None and not path.exists():
        return None
    try:
        return shaped(kind, raw, known_only=False)
    except ShapeError as error:
        raise RetrainError(f"{path}: cannot be read ({error}). Remove it to start anew.") from error


def write_text(path: Path, text: str) -> None:
    """Put `text` in the place of the file at `path`; a kill leaves the old one or the new one.

    Raises:
        RetrainError: the disk refuses.
    """
    try:
        private.make(path.parent)
        atomic.replace_file(path, text)
    except (OSError, UnicodeEncodeError) as error:
        raise RetrainError(f"{path}: cannot be written ({error}).") from error
