"""What served last, and what is under way: kept beside the configs, so that a killed command can be finished.

In `.t0dspy/rollout/` next to the directory of configs (never in it, where the gateway would look):

    CONFIGS.served.json     the config files as they last were known to be served
    CONFIGS.pending.json    a change that was begun, and what to put back if the gateway refuses it
    CONFIGS.lock            held by the command that changes or applies
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
from localkit.json_shape import shaped
from t0dspy.artifact.bundle import MANIFEST
from t0dspy.errors import RolloutError

Files = Mapping[str, str]
"""Path below the configs -> text; bytes that are not UTF-8 as surrogates."""

LARGEST = 1 << 20
"""Bytes; a larger file is no config."""
REFUSED = ".refused"
"""What a file is called that the gateway did not take; no config glob matches it."""


@dataclass(frozen=True)
class Record:
    """A config that was served."""

    config_hash: str
    files: Files = field(repr=False)


@dataclass(frozen=True)
class Pending:
    """A change that was begun."""

    what: str
    """For people, such as `rollback shop`."""
    old: Files | None = field(repr=False)
    """The files to put back if the gateway does not take the new ones; None when they are not known."""
    stale: bool = False
    """True when the gateway served something else than `old` before the change was begun."""
    putting_back: bool = False
    """True once the gateway has refused."""


def config_files(configs: Path) -> dict[str, str]:
    """The files below `configs`."""
    found = (path for path in sorted(configs.rglob("*")) if path.is_file())
    return {
        name: path.read_bytes().decode("utf-8", "surrogateescape")
        for path in found
        if not _is_ours(name := path.relative_to(configs).as_posix()) and path.stat().st_size <= LARGEST
    }


def same_config(one: Files, other: Files) -> bool:
    """Whether the gateway would serve the same: it reads no manifests, and no comments in TOML."""
    read = [name for name in one.keys() | other.keys() if name.rpartition("/")[2] != MANIFEST]
    return all(name in one and name in other and _same(name, one[name], other[name]) for name in read)


def _same(name: str, one: str, other: str) -> bool:
    if one == other or not name.endswith(".toml"):
        return one == other
    try:
        return tomllib.loads(one) == tomllib.loads(other)
    except ValueError:
        return False


def _is_ours(name: str) -> bool:
    """Locks, what a writer left, and what was refused."""
    return name.endswith(REFUSED) or any(part.startswith(".") for part in name.split("/"))


_Kept = TypeVar("_Kept", Record, Pending)


class Journal:
    """The record of one directory of configs."""

    def __init__(self, configs: Path) -> None:
        configs = Path(os.path.abspath(configs))
        self._place = configs.parent / ".t0dspy" / "rollout"
        self._name = configs.name

    @contextmanager
    def held(self, seconds: float = 120.0) -> Iterator[None]:
        """Be the only one who changes or applies.

        Raises:
            RolloutError: somebody else was at it for `seconds`, or nothing can be written here.
        """
        with ExitStack() as stack:
            try:
                private.own(self._place)
                private.tighten(self._place)
                stack.enter_context(locks.hold(self._path("lock"), seconds))
            except LockedError:
                waited = f", also after {seconds:g} s" if seconds else ""
                raise RolloutError(f"another t0dspy is applying a change{waited}. Try again when it is done.") from None
            except OSError as error:
                raise RolloutError(f"{self._place}: cannot be written ({error.strerror}).") from error
            yield

    def served(self) -> Record | None:
        """What was served when somebody last looked; None when nobody did."""
        try:
            return self._read("served.json", Record)
        except RolloutError:  # it is only remembered to save time and to have files to put back
            return None

    def note_served(self, config_hash: str, files: Files) -> None:
        """Remember what is served now."""
        self._write("served.json", Record(config_hash, files))

    def pending(self) -> Pending | None:
        """The change that was begun and not ended: under way while the lock is held, else cut off.

        Raises:
            RolloutError: the file is not what `begin` wrote.
        """
        return self._read("pending.json", Pending)

    def begin(self, pending: Pending) -> None:
        """Remember what is about to be done."""
        self._write("pending.json", pending)

    def end(self) -> None:
        """What was begun is done."""
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
            return shaped(kind, json.loads(path.read_bytes()), known_only=False)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise RolloutError(
                f"{path}: not what t0dspy wrote: {error}. It notes a change that was cut off. Look whether the files "
                f"in {self._place.parent.parent / self._name} are as you want them, and remove it."
            ) from error

    def _write(self, name: str, value: Record | Pending) -> None:
        path = self._path(name)
        try:
            atomic.replace_file(path, json.dumps(asdict(value)))
        except OSError as error:
            raise RolloutError(f"{path}: cannot be written ({error.strerror}).") from error
