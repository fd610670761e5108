"""Replacing a program's tree on disk, so that a kill at any moment leaves it as it was or as it should be.

The usual way: a whole new tree is staged beside the configs, which no config glob reaches, and changes places with the
old one in a single rename. Files that stay are hard links to the old ones.

Where that cannot be (configs are a mount of their own, or the file system has no exchange of directories), the new
files are written ahead under names that no glob matches, one rename decides, and then each file moves into its place in
an order that the gateway can load after every step. Whoever comes next finishes what was decided.
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
"""What the usual way fails with where it cannot be."""


def replace_tree(directory: Path, files: Mapping[str, bytes]) -> None:
    """Add or replace `files` (path -> content) in the tree at `directory`, all of them or none.

    Raises:
        OSError: the disk refuses; then nothing was changed, or `finish` will complete it.
    """
    finish(directory)
    if not _try_swap(directory, files):
        _write_ahead(directory, files)
    sync(directory.parent)


def finish(directory: Path) -> None:
    """Complete what a killed writer of `directory` had decided, and clear away what it left."""
    if _decided(directory).exists():
        _carry_out(directory)
    for leftover in (_staging(directory), _pending(directory)):
        if leftover.exists():
            shutil.rmtree(leftover)


def interrupted(directory: Path) -> bool:
    """Whether a killed writer of `directory` left something to `finish`."""
    return any(place(directory).exists() for place in (_staging, _pending, _decided))


def decided_files(directory: Path) -> Iterator[tuple[str, Path]]:
    """Path -> file, of what was decided for `directory` but is not in its place yet."""
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
    """Whether the usual way could be gone; if not, nothing was changed."""
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
    there = list(directory.rglob("*")) if directory.exists() else []
    for path in there:
        _take_over(path, staging / path.relative_to(directory), path.relative_to(directory).as_posix() in files)
    for name, data in files.items():
        _write(staging / name, data, like=directory / name)
    _make_durable(staging)
    for path in (*reversed(there), directory):
        if path.is_dir() and not path.is_symlink():
            _make_alike(staging / path.relative_to(directory), like=path)


def _take_over(path: Path, target: Path, replaced: bool) -> None:
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
    _make_alike(target, like=like, times=False)


def _make_alike(target: Path, like: Path, *, times: bool = True) -> None:
    """Give `target` the mode and owner, and perhaps the times, of what it replaces, as far as we may."""
    if like.exists():
        there = like.stat()
        with suppress(PermissionError):
            os.chown(target, there.st_uid, there.st_gid)
        target.chmod(there.st_mode & 0o7777)
        if times:
            os.utime(target, ns=(there.st_atime_ns, there.st_mtime_ns))


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _exchange(one: Path, other: Path) -> None:
    """Swap two directories in one step.

    Raises:
        OSError: the platform or the file system cannot.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        done = libc.renamex_np(os.fsencode(one), os.fsencode(other), _SWAP)
    elif hasattr(libc, "renameat2"):
        done = libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE)
    else:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(other))
    if done != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(other))


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
    """`program.toml` with a place for the variants of each function: TensorZero loads no function without one."""
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
    """(staged file, path it belongs to), in an order that leaves config that loads after every step.

    What templates and schemas a file names is there before it, a function before its variant, a version before its
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
    """Let `directory` and all in it survive a power cut: at once where the platform can, else one by one."""
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
