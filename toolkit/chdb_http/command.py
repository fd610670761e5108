"""The command line of the server process, for a program that starts it."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def command_line(
    data_dir: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8123,
    user: str | None = None,
    password_env: str | None = None,
    parent_pid: int | None = None,
    allowed: Sequence[str] = (),
    login_hint: str | None = None,
    unconfined: bool = False,
    early_tables: Mapping[str, str] | None = None,
    restore_rows: bool = False,
) -> list[str]:
    """Return the arguments that start the server, as `subprocess.Popen` takes them.

    The server prints `ready http://HOST:PORT` on stdout once it answers. If it cannot start, it prints one line on
    stderr and exits with 1. It stops when the process `parent_pid` (default: this one), which must be its parent, is
    gone. The password is read from the environment variable `password_env`, because others can read a command line.
    `allowed` are the flags of `web_pages.Allowed`. Refusals of a user or a password end in `login_hint`.
    With `unconfined` the kernel does not confine the server, so only the engine's grants limit what SQL can reach.
    Rows of `early_tables`, each with the column that identifies a row in the events, are acknowledged once they are in
    the write-ahead log.
    """
    command = [sys.executable, "-P", "-m", "chdb_http"]
    command += ["--host", host, "--port", str(port), "--data-dir", str(data_dir)]
    command += ["--parent-pid", str(os.getpid() if parent_pid is None else parent_pid)]
    if user is not None:
        command += ["--user", user]
    if login_hint is not None:
        command += ["--login-hint", login_hint]
    if password_env is not None:
        command += ["--password-env", password_env]
    command += [f"--early-table={name}:{column}" for name, column in (early_tables or {}).items()]
    flags = {"--unconfined": unconfined, "--restore-rows": restore_rows}
    return [*command, *allowed, *(flag for flag, given in flags.items() if given)]
