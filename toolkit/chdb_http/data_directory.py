"""The data directory, which only one server uses at a time, and no other program."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from chdb_http.errors import ChdbHttpError
from localkit import locks, private
from localkit.atomic import replace_file
from localkit.errors import LockedError
from localkit.shortage import explain

ENGINE, JOURNAL, TEMPORARY = "engine", "journal", "tmp"
"""The directories that the server, and therefore SQL, can write while it runs."""

_MARKER, _LOCK, _HOLDER = "t0dspy-clickhouse.json", "lock", "pid"  # existing directories hold a file of this name
_LAYOUT = 1
# Workaround (chdb 4.4): the database `default` reads these characters of its path as patterns of file names; remove
# when that database is an ordinary one.
_GLOBS = set("*?{")


@contextmanager
def hold(directory: Path) -> Iterator[Path]:
    """Make `directory` if necessary, lock it for the block, and provide the engine's directory inside it.

    Raises ChdbHttpError if `directory` cannot be used, belongs to something else, or is held by another process.
    """
    if set(str(directory)) & _GLOBS:
        raise ChdbHttpError(
            f"The name of the data directory {directory} may not contain any of {' '.join(sorted(_GLOBS))}."
        )
    with ExitStack() as stack:
        try:
            private.make(directory)
            _refuse_foreign(directory)
            private.tighten(directory)
            stack.enter_context(_lock(directory))
            _mark(directory)
            _make_directories(directory)
        except OSError as error:
            if shortage := explain(str(error), directory):
                raise ChdbHttpError(shortage) from error
            raise ChdbHttpError(
                f"Cannot use the data directory {directory}: {error.strerror or error}. Choose another with --data-dir."
            ) from error
        yield directory / ENGINE


def _refuse_foreign(directory: Path) -> None:
    names = {path.name for path in directory.iterdir()}
    if _MARKER in names:
        _refuse_newer(directory / _MARKER)
    elif names - {_LOCK, _HOLDER}:
        raise ChdbHttpError(
            f"The data directory {directory} holds files that this server did not make ({sorted(names)[0]} ...). "
            "Choose an empty or a new one with --data-dir."
        )


def _refuse_newer(marker: Path) -> None:
    try:
        layout = json.loads(marker.read_text(encoding="utf-8"))["layout"]
    except (ValueError, KeyError, TypeError) as error:
        raise ChdbHttpError(f"{marker} is damaged: {error}. Choose another --data-dir, or restore this one.") from error
    if layout != _LAYOUT:
        raise ChdbHttpError(f"{marker.parent} was written by another version (layout {layout}, not {_LAYOUT}).")


@contextmanager
def _lock(directory: Path) -> Iterator[None]:
    holder = directory / _HOLDER  # this file stays: a confined process cannot remove it
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.hold(directory / _LOCK))
        except LockedError as error:
            process = holder.read_text(encoding="utf-8").strip() if holder.exists() else "unknown"
            raise ChdbHttpError(
                f"The data directory {directory} is in use by another ClickHouse server (process {process}). "
                "Stop that one, or choose another with --data-dir."
            ) from error
        holder.write_text(f"{os.getpid()}\n", encoding="utf-8")
        yield


def _mark(directory: Path) -> None:
    marker = directory / _MARKER
    if not marker.exists():
        replace_file(marker, json.dumps({"layout": _LAYOUT}) + "\n")


def _make_directories(directory: Path) -> None:
    shutil.rmtree(directory / TEMPORARY, ignore_errors=True)  # a killed server may have left files
    for name in (ENGINE, JOURNAL, TEMPORARY):
        (directory / name).mkdir(exist_ok=True, mode=0o700)
