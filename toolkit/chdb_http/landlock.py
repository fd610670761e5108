"""Restrict a Linux process with Landlock: it permanently loses access to files and outgoing TCP connections.

Landlock has three system calls, so no library is needed (`man 7 landlock`). Their numbers are the same on x86-64 and
arm64.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _RULE_PATH_BENEATH, _NO_NEW_PRIVS = 1, 1, 38
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_OF_FILES = _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_ABSTRACT_SOCKETS, _SIGNALS = 1 << 0, 1 << 1

TCP_ABI = 4
"""The first ABI (Linux 6.7) that refuses TCP connections."""


def supported_abi() -> int:
    """Return the kernel's Landlock ABI; 0 without Landlock: another system, Linux before 5.13, or disabled at boot."""
    if sys.platform != "linux":
        return 0
    abi = _syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    return max(abi, 0)


def restrict_files(writable: Iterable[Path], readable: Iterable[Path]) -> int:
    """Restrict this process, its children and the threads that it starts from now on to the named files.

    The kernel enforces this, and nothing can revert it. The process cannot execute files, listen on a TCP port or
    connect to one (ABI 4), send signals to other processes or connect to their abstract sockets (ABI 6). Files that are
    open stay usable. Running threads are not restricted, so call this before any thread starts.

    Args:
        writable: directories or files that may be read, written and removed, with everything below them.
        readable: directories or files that may only be read. Paths that do not exist are ignored.

    Returns:
        The ABI that the kernel applied; 0 if the kernel has no Landlock and nothing is restricted.

    Raises:
        OSError: the kernel refuses a rule.
    """
    abi = supported_abi()
    if abi == 0:
        return 0
    rights = _rights(abi)
    rules = _checked(_syscall(_CREATE_RULESET, *_ruleset(abi, rights), ctypes.c_uint32(0)), "landlock_create_ruleset")
    try:
        for path in writable:
            _allow(rules, path, rights & ~_EXECUTE)
        for path in readable:
            _allow(rules, path, rights & (_READ_FILE | _READ_DIR))
        _checked(_libc().prctl(_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")
        _checked(_syscall(_RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint32(0)), "landlock_restrict_self")
    finally:
        os.close(rules)
    return abi


def _rights(abi: int) -> int:
    """Return the bits of all file rights of an ABI: ABI 1 has 13 rights, ABI 2, 3 and 5 add one each."""
    return (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)) - 1


def _ruleset(abi: int, rights: int) -> tuple[bytes, ctypes.c_size_t]:
    fields = [rights]
    if abi >= TCP_ABI:
        fields.append(_BIND_TCP | _CONNECT_TCP)
    if abi >= 6:
        fields.append(_ABSTRACT_SOCKETS | _SIGNALS)
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    return attributes, ctypes.c_size_t(len(attributes))


def _allow(rules: int, path: Path, rights: int) -> None:
    try:
        file = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return
    try:
        applicable = rights if path.is_dir() else rights & _OF_FILES
        rule = struct.pack("=Qi", applicable, file)
        _checked(
            _syscall(_ADD_RULE, ctypes.c_int(rules), ctypes.c_int(_RULE_PATH_BENEATH), rule, ctypes.c_uint32(0)), path
        )
    finally:
        os.close(file)


def _checked(result: int, call: str | Path) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(call))
    return result


def _syscall(number: int, *arguments: object) -> int:
    return int(_libc().syscall(ctypes.c_long(number), *arguments))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
