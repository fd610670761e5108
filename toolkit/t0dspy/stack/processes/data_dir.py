"""The stack's data directory: ours or nobody's, one stack at a time, and a file that says who runs here."""

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
from localkit.json_shape import shaped
from localkit.shortage import explain
from t0dspy.errors import StackError
from t0dspy.stack.processes import credentials
from t0dspy.stack.processes.ports import SOCKET

PARTS = ("clickhouse", "gateway", "programs")

_MOST_PIDS = 1 << 31
RUN_FILES = {"gateway": "stack.json", "clickhouse": "clickhouse.json"}
"""Who runs here, by the part: of a stack with a gateway, and of ClickHouse run without one."""
_MARKER = "t0dspy-stack"
_OURS = {
    *(_MARKER, ".gitignore", "clickhouse", "configs", SOCKET, credentials.FILE),
    *RUN_FILES.values(),
    *(f"{part}.lock" for part in PARTS),
}


@dataclass(frozen=True)
class Load:
    """How the gateway fared when it was last told to load its configs again."""

    began: float
    """By `time.monotonic`, which all processes of a machine share."""
    config_hash: str | None
    """What it serves since then; None when it serves what it had."""
    refusal: str = ""
    """Why it refused, in TensorZero's words."""
    failure: str = ""
    """Why it could not load, where the config is not the reason, such as a full disk."""


@dataclass(frozen=True)
class Running:
    """A running stack, as its `stack.json` says; `pids` and `urls` by part."""

    pid: int
    configs: str
    pids: dict[str, int] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict, repr=False)
    """The one of ClickHouse holds the user and the password, so it must not be shown."""
    load: Load | None = None
    """None until it was told to load again."""
    cannot_run: dict[str, str] = field(default_factory=dict)
    """Program, or `NAME VERSION` -> why it cannot run although it has traffic."""


def find_running(data_dir: Path) -> Running | None:
    """The stack that serves a gateway from `data_dir` now, or None; a file left behind by a killed one is None too.

    Send `SIGHUP` to its `pid` to make it load the configs again.
    """
    return _running(data_dir, "gateway")


def find_clickhouse(data_dir: Path) -> str | None:
    """Return the URL, with user and password, of the ClickHouse that runs on `data_dir` now; None if none does."""
    for part in RUN_FILES:
        running = _running(data_dir, part)
        if running and "clickhouse" in running.urls:
            return running.urls["clickhouse"]
    return None


def _running(data_dir: Path, part: str) -> Running | None:
    running = _read_run_file(data_dir / RUN_FILES[part])
    return running if running and locks.is_held(data_dir / f"{part}.lock") else None


@contextmanager
def held(data_dir: Path, parts: tuple[str, ...]) -> Iterator[None]:
    """Hold `data_dir`, made if need be, for `parts` of a stack until the end of the block.

    Raises StackError if it cannot be used, belongs to something else, or a stack already runs those parts there.
    """
    with ExitStack() as stack:
        try:
            private.own(data_dir)
            _refuse_foreign(data_dir)
            private.tighten(data_dir)
            for part in parts:
                stack.enter_context(_lock(data_dir, part))
            _let_leftovers_end(data_dir)
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
    """Say who runs here; readable by the user alone, since it holds ClickHouse's password."""
    name = RUN_FILES["gateway" if "gateway" in running.urls else "clickhouse"]
    atomic.replace_file(data_dir / name, json.dumps(asdict(running), indent=2))


def _let_leftovers_end(data_dir: Path) -> None:
    """The parts of a stack that was killed end by themselves; give them the moment they need."""
    left, give_up = [_read_run_file(data_dir / name) for name in RUN_FILES.values()], time.monotonic() + 5
    pids = [pid for running in left if running for pid in running.pids.values() if 0 < pid < _MOST_PIDS]
    while any(_is_alive(pid) for pid in pids) and time.monotonic() < give_up:
        time.sleep(0.05)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return sys.platform != "linux"  # elsewhere there is no /proc to ask about zombies
    except OSError:
        return False


def _read_run_file(path: Path) -> Running | None:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return shaped(Running, raw, known_only=False)
    except (OSError, ValueError, RecursionError):  # it only helps others; the locks say whether a stack runs
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
            stack.enter_context(locks.hold(data_dir / f"{part}.lock", 0.3))  # find_running may be looking
        except LockedError as error:
            raise StackError(_taken(data_dir, part)) from error
        yield


def _taken(data_dir: Path, part: str) -> str:
    running = find_running(data_dir)
    who = f" (process {running.pid}, {running.urls.get('gateway', '')})" if running else ""
    return (
        f"Another stack already runs the part {part} on the data directory {data_dir}{who}. "
        "Stop that one, or choose another directory with --data-dir."
    )
