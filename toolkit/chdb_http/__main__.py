"""`python -m chdb_http`: the server process."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from chdb_http import confinement
from chdb_http.access import User
from chdb_http.data_directory import hold
from chdb_http.errors import ChdbHttpError
from chdb_http.listening import bound
from localkit import private
from localkit.errors import LocalError

log = logging.getLogger("chdb_http")

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve, and return the exit code: 0 after a clean stop, 1 with a line on stderr if it could not start."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    # Clients receive their own errors as responses.
    for name in ("uvicorn.error", "python_multipart", "asyncio"):
        logging.getLogger(name).setLevel(logging.ERROR)
    options = _parser().parse_args(arguments)
    private.close_to_others()
    try:
        _serve(options)
    except (ChdbHttpError, LocalError) as error:
        sys.stderr.write(f"chdb_http: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:  # before the server handles the signal
        return _INTERRUPTED
    return 0


def _serve(options: argparse.Namespace) -> None:
    users = _users(options)
    with bound(options.host, options.port) as listener, hold(options.data_dir.absolute()) as home:
        _confine(home, unconfined=options.unconfined)
        # Workaround (chdb 4.4): chDB starts threads at import, which Landlock would not confine; remove when they start
        # with the first connection.
        try:
            from chdb_http.server import Options, serve
            from localkit.web_pages import Allowed
        except ImportError as error:
            raise ChdbHttpError(f"{error}. The server needs: pip install 't0dspy[embedded]'") from error
        allowed = Allowed.parse(options.allow_host, options.allow_origin)
        early = {name: column or "id" for name, _, column in (text.partition(":") for text in options.early_table)}
        chosen = Options(
            options.host, users, options.parent_pid, allowed, options.login_hint, early, options.restore_rows
        )
        serve(chosen, listener, home)


def _confine(home: Path, *, unconfined: bool) -> None:
    try:
        warning = confinement.prepare(home, unconfined=unconfined)
    except OSError as error:
        raise ChdbHttpError(f"ClickHouse's process cannot be confined: {error}.") from error
    if warning:
        log.warning(warning)


def _users(options: argparse.Namespace) -> tuple[User, ...]:
    named = ((options.user, options.password_env, False), (options.reader, options.reader_password_env, True))
    return tuple(User(name, _password(env), read_only) for name, env, read_only in named if name is not None)


def _password(variable: str | None) -> str:
    if variable is None:
        return ""
    if variable not in os.environ:
        raise ChdbHttpError(f"The environment variable {variable} is not set; it should hold the password.")
    return os.environ.pop(variable)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chdb_http", description="ClickHouse over HTTP, from chDB.")
    parser.add_argument("--data-dir", type=Path, required=True, help="where the tables are kept")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8123, help="port to listen on, 0 for any (default: %(default)s)")
    parser.add_argument("--user", metavar="NAME", help="the user with all rights (default: everybody)")
    parser.add_argument("--password-env", metavar="NAME", help="environment variable with the user's password")
    parser.add_argument("--reader", metavar="NAME", help="a second user, who can only read")
    parser.add_argument("--reader-password-env", metavar="NAME", help="environment variable with the reader's password")
    parser.add_argument(
        "--login-hint", default="", metavar="TEXT", help="a sentence for clients without a valid user and password"
    )
    parser.add_argument("--parent-pid", type=int, metavar="PID", help="stop when the parent process is no longer PID")
    parser.add_argument("--allow-host", action="append", default=[], metavar="H", help="a name that requests may use")
    parser.add_argument(
        "--allow-origin", action="append", default=[], metavar="O", help="a web page that may send requests"
    )
    parser.add_argument(
        "--unconfined", action="store_true", help="do not let the kernel confine this process (for tests)"
    )
    parser.add_argument(
        "--early-table",
        action="append",
        default=[],
        metavar="TABLE[:COLUMN]",
        help="acknowledge async_insert rows of TABLE once they are in the write-ahead log; COLUMN (default: id) "
        "identifies them in the row events; tables whose views read other tables come last",
    )
    parser.add_argument("--restore-rows", action="store_true", help="store again the rows that were set aside")
    return parser


if __name__ == "__main__":
    sys.exit(main())
