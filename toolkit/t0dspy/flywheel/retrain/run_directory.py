"""Store the work of a retrain in one directory per run, so that an interrupted run can be resumed.

    .t0dspy/retrain/NAME/
      sets.json            which example is in which set, permanently
      last.json            a digest of the data of the last finished run
      runs/20261121T093000Z/
        run.json           the options, and the incumbent
        pulled.jsonl       the pulled examples
        answers.jsonl      every answer of a model
        report.json, report.html, optimizer.log
        failed.json        instead of a report, if a resumed run would fail again

All files are JSON and text; nothing in them is executed or unpickled.
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
from localkit.json_shape import ShapeError, to_dataclass
from t0dspy.artifact.names import check_program_name
from t0dspy.errors import RetrainError, SettingsError
from t0dspy.flywheel.example import PulledExample

T = TypeVar("T")

REPORT = "report.json"
FAILED = "failed.json"
"""The error of a run that cannot be resumed."""


class Home:
    """The directory `.t0dspy/retrain/NAME`."""

    def __init__(self, root: Path, name: str) -> None:
        """Use the directory of the program `name` in `root`, the project's `.t0dspy`."""
        self.directory = root / "retrain" / check_program_name(name)
        self.name = name

    @property
    def sets(self) -> Path:
        """Return the path of the file with the assignment of examples to sets."""
        return self.directory / "sets.json"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock for retraining the program.

        Raises:
            RetrainError: another process holds it, or the directory cannot be written.
        """
        with ExitStack() as stack:
            try:
                private.make(self.directory)
                private.tighten(self.directory)
                stack.enter_context(locks.hold(self.directory / "lock"))
            except LockedError:
                raise RetrainError(f"another retrain of {self.name} is running; wait until it ends.") from None
            except OSError as error:
                raise RetrainError(f"{self.directory}: cannot be written ({error.strerror}).") from error
            yield

    def new_run(self, now: datetime) -> "RunDirectory":
        """Return a directory for a new run."""
        stem = now.strftime("%Y%m%dT%H%M%SZ")
        runs = self.directory / "runs"
        names = [stem, *(f"{stem}-{number}" for number in range(2, 100))]
        return RunDirectory(next(runs / name for name in names if not (runs / name).exists()))

    def unfinished(self) -> "RunDirectory | None":
        """Return the newest run if it was interrupted; None otherwise."""
        runs = sorted(path for path in (self.directory / "runs").glob("*") if (path / "run.json").exists())
        if not runs or any((runs[-1] / name).exists() for name in (REPORT, FAILED)):
            return None
        return RunDirectory(runs[-1])

    def last(self) -> "Last | None":
        """Return the record of the last finished run; None before the first."""
        return read_shaped(self.directory / "last.json", Last)

    def record_finished(self, seen: Mapping[str, Any]) -> None:
        """Record the data of a finished run."""
        write_text(self.directory / "last.json", json.dumps(seen, indent=2) + "\n")


@dataclass(frozen=True)
class Last:
    """The content of `last.json`."""

    run: str
    seen: str


@dataclass(frozen=True)
class Beginning:
    """The content of `run.json`."""

    until: str
    incumbent: str
    content: str
    asked: str


@dataclass(frozen=True)
class PullSummary:
    """The part of `pull.json` that a run needs."""

    since: str = ""
    until: str = ""
    drops: Mapping[str, int] = field(default_factory=dict)


class RunDirectory:
    """The directory of one run; a file in it is complete or does not exist."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read_pull_summary(self) -> PullSummary:
        """Return the summary of the pull."""
        return read_shaped(self.path / "pull.json", PullSummary) or PullSummary()

    def write_json(self, name: str, value: Any) -> None:
        """Store `value` as the file `name`."""
        write_text(self.path / name, json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def write_examples(self, name: str, examples: Iterable[PulledExample]) -> None:
        """Store examples as lines of `pull`."""
        write_text(self.path / name, "".join(example.to_line() + "\n" for example in examples))

    def read_examples(self, name: str) -> list[PulledExample] | None:
        """Return the examples in the file `name`; None if it does not exist."""
        path = self.path / name
        if not path.exists():
            return None
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
            return [PulledExample.from_object(json.loads(line), str(path)) for line in lines if line]
        except (OSError, ValueError, TypeError, AttributeError, RecursionError, SettingsError) as error:
            raise RetrainError(f"{path}: cannot be read ({error}). Start again without --resume.") from error


def read_json(path: Path) -> Any:
    """Return the JSON in the file at `path`; None if the file does not exist.

    Raises:
        RetrainError: it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise RetrainError(f"{path}: cannot be read ({error}). Remove it, and start again.") from error


def read_shaped(path: Path, kind: type[T]) -> T | None:
    """Return the JSON in the file at `path` as `kind`; None if the file does not exist.

    Raises:
        RetrainError: it cannot be read, or is not what t0dspy wrote; names the key.
    """
    raw = read_json(path)
    if raw is None and not path.exists():
        return None
    try:
        return to_dataclass(kind, raw, known_only=False)
    except ShapeError as error:
        raise RetrainError(f"{path}: cannot be read ({error}). Remove it, and start again.") from error


def write_text(path: Path, text: str) -> None:
    """Replace the file at `path` with `text`; after a kill, it is the old file or the new one.

    Raises:
        RetrainError: the disk refuses.
    """
    try:
        private.make(path.parent)
        atomic.replace_file(path, text)
    except (OSError, UnicodeEncodeError) as error:
        raise RetrainError(f"{path}: cannot be written ({error}).") from error
