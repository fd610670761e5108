"""Record the last served config and the pending change, so that the change of a killed command can be finished.

The files are in `.t0dspy/rollout/` next to the directory of configs, because the gateway reads that directory:

    CONFIGS.served.json     the config files that the gateway is known to have served last
    CONFIGS.pending.json    a change that was begun, and the files to restore if the gateway refuses it
    CONFIGS.lock            locked by the command that changes or applies configs
"""

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

from localkit import atomic, locks, private
from localkit.errors import LockedError
from localkit.json_shape import to_dataclass
from t0dspy.artifact.bundle import MANIFEST
from t0dspy.errors import RolloutError

Files = Mapping[str, str]
"""Maps a path below the configs to the file's text; bytes that are not UTF-8 become surrogates."""

LARGEST = 1 << 20
"""The largest size of a config file in bytes; larger files are ignored."""
REFUSED = ".refused"
"""The suffix of files that the gateway refused; no config glob matches it."""


@dataclass(frozen=True)
class Record:
    """A config that was served."""

    config_hash: str
    files: Files = field(repr=False)


@dataclass(frozen=True)
class Pending:
    """A change that was begun. Its field names are those of the JSON file."""

    what: str
    """The command, such as `rollback shop`."""
    old: Files | None = field(repr=False)
    """The files to restore if the gateway refuses the new ones; None if they are not known."""
    stale: bool = False
    """Whether the gateway served other files than `old` when the change was begun."""
    putting_back: bool = False
    """Whether the gateway refused the change, so that the old files are being restored."""


def config_files(configs: Path) -> dict[str, str]:
    """Read the files below `configs`, without locks, temporary files and refused files."""
    paths = (path for path in sorted(configs.rglob("*")) if path.is_file())
    return {
        name: path.read_bytes().decode("utf-8", "surrogateescape")
        for path in paths
        if not _is_ours(name := path.relative_to(configs).as_posix()) and path.stat().st_size <= LARGEST
    }


def same_config(first: Files, second: Files) -> bool:
    """Return whether two sets of files are equivalent for the gateway, which ignores manifests and TOML comments."""
    read = [name for name in first.keys() | second.keys() if name.rpartition("/")[2] != MANIFEST]
    return all(name in first and name in second and _same(name, first[name], second[name]) for name in read)


def _same(name: str, first: str, second: str) -> bool:
    if first == second or not name.endswith(".toml"):
        return first == second
    try:
        return tomllib.loads(first) == tomllib.loads(second)
    except ValueError:
        return False


def _is_ours(name: str) -> bool:
    """Return whether a file is a lock, a temporary file, or a refused file."""
    return name.endswith(REFUSED) or any(part.startswith(".") for part in name.split("/"))


_Kept = TypeVar("_Kept", Record, Pending)


class Journal:
    """The journal of one directory of configs: its lock, its served config and its pending change."""

    def __init__(self, configs: Path) -> None:
        configs = Path(os.path.abspath(configs))
        self._place = configs.parent / ".t0dspy" / "rollout"
        self._name = configs.name

    @contextmanager
    def hold(self, seconds: float = 120.0) -> Iterator[None]:
        """Hold the lock that every change and every apply needs.

        Args:
            seconds: how long to wait for the lock.

        Raises:
            RolloutError: another process held the lock for `seconds`, or the directory cannot be written.
        """
        with ExitStack() as stack:
            try:
                private.make_ignored(self._place)
                private.tighten(self._place)
                stack.enter_context(locks.hold(self._path("lock"), seconds))
            except LockedError:
                waited = f", also after {seconds:g} s" if seconds else ""
                raise RolloutError(f"another t0dspy is applying a change{waited}. Try again when it is done.") from None
            except OSError as error:
                raise RolloutError(f"{self._place}: cannot be written ({error.strerror}).") from error
            yield

    def read_served(self) -> Record | None:
        """Read the last known served config; return None if there is none."""
        try:
            return self._read("served.json", Record)
        except RolloutError:  # a damaged record only means that the served config is not known
            return None

    def note_served(self, config_hash: str, files: Files) -> None:
        """Record the config that is served now."""
        self._write("served.json", Record(config_hash, files))

    def read_pending(self) -> Pending | None:
        """Read the change that was begun and not ended. It was interrupted if no process holds the lock.

        Raises:
            RolloutError: the file does not have the form that `begin` writes.
        """
        return self._read("pending.json", Pending)

    def begin(self, pending: Pending) -> None:
        """Record a change before it is written."""
        self._write("pending.json", pending)

    def end(self) -> None:
        """Remove the record of the pending change."""
        path = self._path("pending.json")
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise RolloutError(f"{path}: cannot be removed ({error.strerror}).") from error

    def _path(self, name: str) -> Path:
        return self._place / f"{self._name}.{name}"

    def _read(self, name: str, kind: type[_Kept]) -> _Kept | None:
        path = self._path(name)
        try:
            return to_dataclass(kind, json.loads(path.read_bytes()), known_only=False)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise RolloutError(
                f"{path}: not what t0dspy wrote: {error}. It records a change that was interrupted. Check the files "
                f"in {self._place.parent.parent / self._name}, and remove it."
            ) from error

    def _write(self, name: str, value: Record | Pending) -> None:
        path = self._path(name)
        try:
            atomic.replace_file(path, json.dumps(asdict(value)))
        except OSError as error:
            raise RolloutError(f"{path}: cannot be written ({error.strerror}).") from error
