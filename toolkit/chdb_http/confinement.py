"""Confine the process to its own files and to those that Python needs."""

import importlib.util
import os
import site
import sys
import sysconfig
import tempfile
from pathlib import Path

from chdb_http import landlock
from chdb_http.data_directory import JOURNAL, TEMPORARY
from chdb_http.engine_config import ENGINE_CONFIG, USERS_CONFIG, write_config

_PACKAGES = ("chdb_http", "localkit", "chdb")
_SITE_DIRECTORIES = ("site-packages", "dist-packages")
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
_TIME = ("/usr/share/zoneinfo", "/etc/localtime", "/etc/timezone")
# Files that the engine, Python and the allocator read. None of them has an environment or a command line.
_MACHINE = (
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/vm/overcommit_memory",
    # Workaround (chdb 4.4): without this file, chDB looks for its auxiliary vector behind the environment, and may
    # crash; remove when it uses getauxval.
    "/proc/self/auxv",
    "/proc/self/maps",
    "/proc/self/stat",
    "/proc/self/statm",
    "/proc/self/status",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
    "/dev/urandom",
    "/dev/zero",
)


def prepare(home: Path, *, unconfined: bool = False) -> str | None:
    """Write the configuration of the engine in `home`, then confine this process; call it before any thread starts.

    The process can write `home`, the journal and its temporary files beside it, and nothing else: not even its own
    configuration, or what the stack keeps in the same data directory.

    Args:
        home: the engine's directory, as `data_directory.hold` gives it.
        unconfined: do not restrict the process with Landlock, so that only the grants limit SQL.

    Returns:
        What SQL can still reach, as one sentence; None if nothing.

    Raises:
        OSError: the disk or the kernel refuses.
    """
    write_config(home.parent)
    temporary = home.parent / TEMPORARY
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    if unconfined:
        return still_open(0)
    if landlock.supported_abi() and _thread_count() > 1:
        raise RuntimeError("The process has threads already, and Landlock would not restrict them.")
    writable = [home, home.parent / JOURNAL, temporary, Path("/dev/null")]
    readable = [home.parent / ENGINE_CONFIG, home.parent / USERS_CONFIG, *_needed_to_run()]
    return still_open(landlock.restrict_files(writable, readable))


def still_open(abi: int) -> str | None:
    """Return what SQL can still reach at a Landlock ABI, as one sentence for the log; None if it is nothing."""
    if abi >= landlock.TCP_ABI:
        return None
    if abi:
        return (
            "This kernel cannot refuse TCP connections (Landlock ABI 4, Linux 6.7): anybody with the password of "
            "ClickHouse can connect to other hosts from SQL. Files are confined."
        )
    return (
        "This system cannot confine ClickHouse (this needs Landlock, Linux 5.13 or later): anybody with its "
        "password can read and write this account's files, and connect to other hosts, from SQL."
    )


def _needed_to_run() -> set[Path]:
    named = (*_LIBRARIES, *_TIME, *_MACHINE, *_installation())
    return {Path(path) for path in named}


def _installation() -> set[str]:
    """Return the directories of Python's library and of installed packages, and none that holds a user's project."""
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths |= {f"{prefix}/lib" for prefix in (sys.prefix, sys.base_prefix)}
    paths.add(os.path.realpath(sys.executable))  # the engine reads its own program's symbols
    paths |= {path for path in (*sys.path, *site.getsitepackages()) if Path(path).name in _SITE_DIRECTORIES}
    for name in _PACKAGES:  # an editable installation is elsewhere
        spec = importlib.util.find_spec(name)
        paths |= set(spec.submodule_search_locations or ()) if spec else set()
    return paths


def _thread_count() -> int:
    return len(os.listdir("/proc/self/task"))
