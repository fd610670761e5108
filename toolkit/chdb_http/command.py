"""The command line of the server process, for whoever supervises it."""

import os
import sys
from collections.abc import Sequence
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
) -> list[str]:
    """The arguments that start the server, as `subprocess.Popen` takes them.

    The server prints `ready http://HOST:PORT` on stdout once it answers. If it cannot start it says why in one line on
    stderr and exits with 1. It stops when the process `parent_pid` (default: this one), which must be its parent, is
    gone. The password is read from the environment variable `password_env`: a command line is public.
    `allowed` are the flags of `web_pages.Allowed`. Refusals of a user or a password end in `login_hint`.
    With `unconfined` the kernel does not confine the server, so only the engine's grants limit what SQL can reach.
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
    return [*command, *allowed, *(["--unconfined"] if unconfined else [])]
