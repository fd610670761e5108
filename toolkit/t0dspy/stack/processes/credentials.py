"""The user and the password of the embedded ClickHouse: from the environment, or generated once per data directory."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from localkit.atomic import replace_file
from t0dspy.errors import StackError

FILE = "clickhouse-password"
"""The password's file in the data directory. Only its owner can read it, but not the confined database process."""
USER_VARIABLE, PASSWORD_VARIABLE = "CLICKHOUSE_USER", "CLICKHOUSE_PASSWORD"
"""Environment variables that take precedence, the same as in ClickHouse's image."""

_USUAL_USER = "default"
_PASSWORD = re.compile(r"[A-Za-z0-9_-]{20,}")


@dataclass(frozen=True)
class Credentials:
    """A user of ClickHouse with its password."""

    user: str
    password: str = field(repr=False)

    def in_url(self, url: str) -> str:
        """Return `url` with the user and the password, so the result is a secret."""
        parts = urlsplit(url)
        return urlunsplit(
            parts._replace(netloc=f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@{parts.netloc}")
        )


def read_environment(environment: Mapping[str, str]) -> Credentials | None:
    """Return the credentials that the environment sets; None if it sets none.

    Raises:
        StackError: it sets a user without a password.
    """
    user, password = environment.get(USER_VARIABLE), environment.get(PASSWORD_VARIABLE)
    if user and not password:
        raise StackError(f"{USER_VARIABLE} is {user!r}, but {PASSWORD_VARIABLE} is not set. Set both or neither.")
    return Credentials(user or _USUAL_USER, password) if password else None


def read_stored(data_dir: Path) -> Credentials | None:
    """Read the credentials that were generated for `data_dir`; return None if there are none yet.

    Raises:
        StackError: the file cannot be read, or does not contain a generated password.
    """
    path = data_dir / FILE
    try:
        password = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StackError(f"{path}, the password of ClickHouse, cannot be read: {error}.") from error
    if not _PASSWORD.fullmatch(password):
        raise StackError(f"{path} does not hold a password that t0dspy made. Delete it; the next start makes one.")
    return Credentials(_USUAL_USER, password)


def ensure(data_dir: Path, environment: Mapping[str, str]) -> Credentials:
    """Return the credentials for ClickHouse in `data_dir`; generate and store a password if there is none.

    The caller must hold `data_dir`.

    Raises:
        StackError: see `read_environment` and `read_stored`, or the password cannot be written.
    """
    return read_environment(environment) or read_stored(data_dir) or _generate(data_dir)


def _generate(data_dir: Path) -> Credentials:
    password = secrets.token_urlsafe(24)
    try:
        replace_file(data_dir / FILE, f"{password}\n")
    except OSError as error:
        raise StackError(f"The password of ClickHouse cannot be written to {data_dir / FILE}: {error}.") from error
    return Credentials(_USUAL_USER, password)
