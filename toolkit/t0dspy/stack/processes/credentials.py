"""Who may use the embedded ClickHouse: a user and a password, made up once for a data directory unless they are set."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from localkit.atomic import replace_file
from t0dspy.errors import StackError

FILE = "clickhouse-password"
"""In the data directory, for its owner alone; the database's process cannot read it."""
USER_VARIABLE, PASSWORD_VARIABLE = "CLICKHOUSE_USER", "CLICKHOUSE_PASSWORD"
"""Environment variables that decide instead, the same as of ClickHouse's own image."""

_USUAL_USER = "default"
_PASSWORD = re.compile(r"[A-Za-z0-9_-]{20,}")


@dataclass(frozen=True)
class Credentials:
    """A user of ClickHouse and the password."""

    user: str
    password: str = field(repr=False)

    def in_url(self, url: str) -> str:
        """Return `url` with the user and the password in it: a secret."""
        parts = urlsplit(url)
        return urlunsplit(
            parts._replace(netloc=f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@{parts.netloc}")
        )


def chosen(environment: Mapping[str, str]) -> Credentials | None:
    """Return the credentials that the environment sets; None if it sets none.

    Raises:
        StackError: it names a user and no password.
    """
    user, password = environment.get(USER_VARIABLE), environment.get(PASSWORD_VARIABLE)
    if user and not password:
        raise StackError(f"{USER_VARIABLE} is {user!r}, but {PASSWORD_VARIABLE} is not set. Set both or neither.")
    return Credentials(user or _USUAL_USER, password) if password else None


def stored(data_dir: Path) -> Credentials | None:
    """Return the credentials that were made up for `data_dir`; None if there are none yet.

    Raises:
        StackError: the file cannot be read, or does not hold a password of ours.
    """
    path = data_dir / FILE
    try:
        password = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StackError(f"{path}, the password of ClickHouse, cannot be read: {error}.") from error
    if not _PASSWORD.fullmatch(password):
        raise StackError(f"{path} does not hold a password that t0dspy made. Delete it, and the next start makes one.")
    return Credentials(_USUAL_USER, password)


def ensure(data_dir: Path, environment: Mapping[str, str]) -> Credentials:
    """Return the credentials for ClickHouse in `data_dir`; make up a password, once, where nobody has set one.

    Call it while `data_dir` is held.

    Raises:
        StackError: see `chosen` and `stored`, or the password cannot be written.
    """
    return chosen(environment) or stored(data_dir) or _make(data_dir)


def _make(data_dir: Path) -> Credentials:
    password = secrets.token_urlsafe(24)
    try:
        replace_file(data_dir / FILE, f"{password}\n")
    except OSError as error:
        raise StackError(f"The password of ClickHouse cannot be kept in {data_dir / FILE}: {error}.") from error
    return Credentials(_USUAL_USER, password)
