"""The stack's data directory: its checks, its locks for one stack at a time, and the files about the running stack."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from localkit import atomic, locks, private
from localkit.errors import LockedError
from localkit.json_shape import to_dataclass
from localkit.shortage import explain
from t0dspy.errors import StackError
from t0dspy.stack.processes import credentials
from t0dspy.stack.processes.ports import SOCKET

PARTS = ("clickhouse", "gateway", "programs")

_MOST_PIDS = 1 << 31
RUN_FILES = {"gateway": "stack.json", "clickhouse": "clickhouse.json"}
"""The file about the running stack, for a stack with a gateway, and for ClickHouse without a gateway."""
_MARKER = "t0dspy-stack"
_OURS = {
    *(_MARKER, ".gitignore", "clickhouse", "configs", SOCKET, credentials.FILE),
    *RUN_FILES.values(),
    *(f"{part}.lock" for part in PARTS),
}


@dataclass(frozen=True)
class Load:
    """The result of the gateway's last reload."""

    began: float
    """The `time.monotonic` of its start; all processes of a machine share this clock."""
    config_hash: str | None
    """The hash of the new config; None if the gateway still serves the old one."""
    refusal: str = ""
    """Why the gateway refused the config, with TensorZero's message."""
    failure: str = ""
    """Why the load failed for another reason than the config, such as a full disk."""


@dataclass(frozen=True)
class Running:
    """A running stack, as described by its `stack.json`; `pids` and `urls` are by part."""

    pid: int
    configs: str
    pids: dict[str, int] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict, repr=False)
    """ClickHouse's URL contains the user and the password, so it must not be printed."""
    load: Load | None = None
    """None until the first reload."""
    cannot_run: dict[str, str] = field(default_factory=dict)
    """Maps a program with traffic, or `NAME VERSION`, to the reason why it cannot run."""


def find_running(data_dir: Path) -> Running | None:
    """Return the stack that runs a gateway on `data_dir`; None if none runs, even if a killed stack left its file.

    Send `SIGHUP` to its `pid` to make it reload the configs.
    """
    return _running(data_dir, "gateway")


def find_clickhouse(data_dir: Path) -> str | None:
    """Return the URL, with user and password, of the ClickHouse that runs on `data_dir`; None if none runs."""
    for part in RUN_FILES:
        running = _running(data_dir, part)
        if running and "clickhouse" in running.urls:
            return running.urls["clickhouse"]
    return None


def _running(data_dir: Path, part: str) -> Running | None:
    running = _read_run_file(data_dir / RUN_FILES[part])
    return running if running and locks.is_held(data_dir / f"{part}.lock") else None


@contextmanager
def hold(data_dir: Path, parts: tuple[str, ...]) -> Iterator[None]:
    """Hold `data_dir` for `parts` of a stack until the end of the block, and create it if it does not exist.

    Raises:
        StackError: it cannot be used, has files of another program, or a stack already runs one of the parts on it.
    """
    with ExitStack() as stack:
        try:
            private.make_ignored(data_dir)
            _refuse_foreign(data_dir)
            private.tighten(data_dir)
            for part in parts:
                stack.enter_context(_lock(data_dir, part))
            _wait_for_leftovers(data_dir)
            (data_dir / _MARKER).touch()
        except OSError as error:
            reason = error.strerror or error
            if shortage := explain(str(reason), data_dir):
                raise StackError(shortage) from error
            raise StackError(
                f"Cannot use the data directory {data_dir}: {reason}. Choose another with --data-dir."
            ) from error
        for part in set(parts) & set(RUN_FILES):
            stack.callback((data_dir / RUN_FILES[part]).unlink, missing_ok=True)
        yield


def write_run_file(data_dir: Path, running: Running) -> None:
    """Write the file about the running stack. Only the user can read it, because it contains ClickHouse's password."""
    name = RUN_FILES["gateway" if "gateway" in running.urls else "clickhouse"]
    atomic.replace_file(data_dir / name, json.dumps(asdict(running), indent=2))


def _wait_for_leftovers(data_dir: Path) -> None:
    """Wait at most 5 seconds for the parts of a killed stack, which end by themselves."""
    left, give_up = [_read_run_file(data_dir / name) for name in RUN_FILES.values()], time.monotonic() + 5
    pids = [pid for running in left if running for pid in running.pids.values() if 0 < pid < _MOST_PIDS]
    while any(_is_alive(pid) for pid in pids) and time.monotonic() < give_up:
        time.sleep(0.05)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return sys.platform != "linux"  # other systems have no /proc, so zombies count as alive
    except OSError:
        return False


def _read_run_file(path: Path) -> Running | None:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return to_dataclass(Running, raw, known_only=False)
    except (OSError, ValueError, RecursionError):  # the locks, not this file, show whether a stack runs
        return None


def _refuse_foreign(data_dir: Path) -> None:
    names = {entry.name for entry in data_dir.iterdir()}
    if names and _MARKER not in names and names - _OURS:
        raise StackError(
            f"The data directory {data_dir} holds files that t0dspy did not make ({min(names - _OURS)} ...). "
            "Choose an empty or a new one with --data-dir."
        )


@contextmanager
def _lock(data_dir: Path, part: str) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.hold(data_dir / f"{part}.lock", 0.3))  # find_running takes the lock for a moment
        except LockedError as error:
            raise StackError(_taken(data_dir, part)) from error
        yield


def _taken(data_dir: Path, part: str) -> str:
    running = find_running(data_dir)
    holder = f" (process {running.pid}, {running.urls.get('gateway', '')})" if running else ""
    return (
        f"Another stack already runs the part {part} on the data directory {data_dir}{holder}. "
        "Stop that one, or choose another directory with --data-dir."
    )
