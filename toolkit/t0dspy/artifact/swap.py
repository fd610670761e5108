"""Replace a program's tree on disk, so that a kill at any moment leaves either the old tree or the new one.

The usual way is a directory swap: a whole new tree is staged beside the configs, where no config glob reaches, and
exchanged with the old tree by one rename. Files that stay are hard links to the old ones.

A swap is not possible if the configs are a mount of their own, or the file system cannot exchange directories. Then the
new files are written ahead under names that no glob matches, and one rename decides the write. Afterwards each file
moves into place, in an order in which the gateway can load the config after every step. If the writer is killed after
the decision, the next writer finishes the moves.
"""

import ctypes
import errno
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from localkit.atomic import sync

MANIFEST, ROLLOUT, PROGRAM = "manifest.json", "rollout.toml", "program.toml"
_STAGED, _OPENED = ".staged", ".opened"
_FUNCTION = re.compile(r"^\[functions\.([^.\]]+)\]$", re.MULTILINE)
_AT_FDCWD, _EXCHANGE, _SWAP = -100, 2, 2
_NOT_HERE = (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EROFS)
"""Errors by which a directory swap fails where it is not possible."""


def replace_tree(directory: Path, files: Mapping[str, bytes]) -> None:
    """Add or replace `files` (path -> content) in the tree at `directory`, all of them or none.

    Raises:
        OSError: the disk refuses. Nothing was changed, or `finish` completes the write.
    """
    finish(directory)
    if not _try_swap(directory, files):
        _write_ahead(directory, files)
    sync(directory.parent)


def finish(directory: Path) -> None:
    """Complete the write that a killed writer of `directory` had decided, and remove its leftovers."""
    if _decided(directory).exists():
        _carry_out(directory)
    for leftover in (_staging(directory), _pending(directory)):
        if leftover.exists():
            shutil.rmtree(leftover)


def interrupted(directory: Path) -> bool:
    """Return whether a killed writer of `directory` left something to `finish`."""
    return any(place(directory).exists() for place in (_staging, _pending, _decided))


def decided_files(directory: Path) -> Iterator[tuple[str, Path]]:
    """Yield path and staged file for each file of a decided write that is not in place yet."""
    decided = _decided(directory)
    for path in sorted(decided.rglob(f"*{_STAGED}")):
        yield path.relative_to(decided).as_posix().removesuffix(_STAGED), path


def _staging(directory: Path) -> Path:
    configs = directory.parent.parent
    return configs.parent / f".t0dspy-{configs.name}-{directory.name}"


def _pending(directory: Path) -> Path:
    return directory.parent / f".t0dspy-{directory.name}-pending"


def _decided(directory: Path) -> Path:
    return directory.parent / f".t0dspy-{directory.name}-decided"


def _try_swap(directory: Path, files: Mapping[str, bytes]) -> bool:
    """Replace the tree by a directory swap; return False, with nothing changed, if that is not possible here."""
    staging = _staging(directory)
    try:
        staging.mkdir()
        _stage(directory, staging, files)
        if directory.exists():
            _exchange(staging, directory)
        else:
            staging.rename(directory)
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        return False
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return True


def _stage(directory: Path, staging: Path, files: Mapping[str, bytes]) -> None:
    present = list(directory.rglob("*")) if directory.exists() else []
    for path in present:
        _keep(path, staging / path.relative_to(directory), path.relative_to(directory).as_posix() in files)
    for name, data in files.items():
        _write(staging / name, data, like=directory / name)
    _make_durable(staging)
    for path in (*reversed(present), directory):
        if path.is_dir() and not path.is_symlink():
            _copy_mode(staging / path.relative_to(directory), like=path)


def _keep(path: Path, target: Path, replaced: bool) -> None:
    if replaced:
        return
    if path.is_symlink():
        target.symlink_to(path.readlink())
    elif path.is_dir():
        target.mkdir()
    else:
        _link(path, target)


def _write(target: Path, data: bytes, like: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    _copy_mode(target, like=like, times=False)


def _copy_mode(target: Path, like: Path, *, times: bool = True) -> None:
    """Give `target` the mode and, if permitted, the owner of the file that it replaces; with `times`, its times too."""
    if like.exists():
        stat = like.stat()
        with suppress(PermissionError):
            os.chown(target, stat.st_uid, stat.st_gid)
        target.chmod(stat.st_mode & 0o7777)
        if times:
            os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _exchange(first: Path, second: Path) -> None:
    """Swap two directories in one step.

    Raises:
        OSError: the platform or the file system cannot do it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        done = libc.renamex_np(os.fsencode(first), os.fsencode(second), _SWAP)
    elif hasattr(libc, "renameat2"):
        done = libc.renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _EXCHANGE)
    else:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(second))
    if done != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(second))


def _write_ahead(directory: Path, files: Mapping[str, bytes]) -> None:
    pending = _pending(directory)
    try:
        pending.mkdir()
        for name, data in files.items():
            _write(pending / f"{name}{_STAGED}", data, like=directory / name)
        if PROGRAM in files:
            _write(pending / f"{PROGRAM}{_OPENED}", _opened(files[PROGRAM]), like=directory / PROGRAM)
        _make_durable(pending)
        pending.rename(_decided(directory))
    except OSError:
        shutil.rmtree(pending, ignore_errors=True)
        raise
    sync(directory.parent)
    _carry_out(directory)


def _opened(program: bytes) -> bytes:
    """Return `program.toml` with an empty table of variants for each function."""
    # Workaround (tensorzero 2026.6): a function without variants does not load, and its variants come one step later;
    # remove when such a function loads.
    names = _FUNCTION.findall(program.decode("utf-8"))
    return program + "".join(f"\n[functions.{name}.variants]\n" for name in names).encode()


def _carry_out(directory: Path) -> None:
    decided = _decided(directory)
    for source, name in _steps(decided):
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)
        sync(target.parent)
    shutil.rmtree(decided)


def _steps(decided: Path) -> list[tuple[Path, str]]:
    """Return (staged file, its path in the tree), in an order in which the config loads after every step.

    Templates and schemas come before the file that names them, a function before its variant, and a version before its
    share of the traffic.
    """
    staged = [(path, path.relative_to(decided).as_posix()) for path in sorted(decided.rglob("*")) if path.is_file()]
    return sorted(((path, name.rpartition(".")[0]) for path, name in staged), key=lambda step: _rank(*step))


def _rank(staged: Path, name: str) -> int:
    if name == PROGRAM:
        return 1 if staged.name.endswith(_OPENED) else 3
    last = {MANIFEST: 4, ROLLOUT: 5}
    return last.get(name, 2 if name.endswith(".toml") else 0)


def _make_durable(directory: Path) -> None:
    """Sync `directory` and everything in it to the disk: with one call if the platform has it, else file by file."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "syncfs"):
        handle = os.open(directory, os.O_RDONLY)
        try:
            if libc.syncfs(handle) == 0:
                return
        finally:
            os.close(handle)
    for path in (*directory.rglob("*"), directory):
        if not path.is_symlink():
            sync(path)
