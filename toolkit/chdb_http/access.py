"""Users and their passwords."""

import base64
import binascii
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from chdb_http.engine_error import EngineError


@dataclass(frozen=True)
class User:
    """A user who can send queries."""

    name: str
    password: str = field(default="", repr=False)
    read_only: bool = False


ANYBODY = User("default")
"""ClickHouse's default user, without a password, for a server without configured users."""


@dataclass(frozen=True)
class _Credentials:
    name: str
    password: str = field(repr=False)


class Access:
    """The users of a server."""

    def __init__(self, users: Iterable[User] = (), login_hint: str = "") -> None:
        """Without `users`, the only user is `default`, without a password. Refusals end in `login_hint`."""
        self._login_hint = f" {login_hint}" if login_hint else ""
        self._users = {user.name: user for user in users} or {ANYBODY.name: ANYBODY}

    def user(self, headers: Mapping[str, str], parameters: Mapping[str, str]) -> User:
        """Return the user of a request. Raises EngineError if its credentials are not valid.

        Credentials come by basic authentication, `X-ClickHouse-User` and `X-ClickHouse-Key`, or `user` and `password`
        in the URL: a request may use only one of these ways, as in ClickHouse.
        """
        ways = [way for way in (_by_headers(headers), _by_basic(headers), _by_url(parameters)) if way is not None]
        if len(ways) > 1:
            raise EngineError(
                "AUTHENTICATION_FAILED", "Invalid authentication: more than one way of authentication is used."
            )
        claimed = ways[0] if ways else _Credentials(ANYBODY.name, "")
        user = self._users.get(claimed.name)
        if user is not None and hmac.compare_digest(user.password.encode(), claimed.password.encode()):
            return user
        raise self._refusal(claimed.name, anonymous=not ways)

    def _refusal(self, name: str, *, anonymous: bool) -> EngineError:
        if anonymous:
            return EngineError(
                "REQUIRED_PASSWORD", f"{name}: Authentication failed: password is required.{self._login_hint}"
            )
        return EngineError(
            "AUTHENTICATION_FAILED",
            f"{name}: Authentication failed: password is incorrect, or there is no user with such name."
            f"{self._login_hint}",
        )


def _by_headers(headers: Mapping[str, str]) -> _Credentials | None:
    if "x-clickhouse-user" in headers or "x-clickhouse-key" in headers:
        return _Credentials(headers.get("x-clickhouse-user") or ANYBODY.name, headers.get("x-clickhouse-key", ""))
    return None


def _by_basic(headers: Mapping[str, str]) -> _Credentials | None:
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if not scheme:
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    name, colon, password = decoded.partition(":")
    if not colon:
        raise EngineError(
            "AUTHENTICATION_FAILED", "Invalid authentication: only HTTP Basic with user and password is known."
        )
    return _Credentials(name or ANYBODY.name, password)


def _by_url(parameters: Mapping[str, str]) -> _Credentials | None:
    if "user" in parameters or "password" in parameters:
        return _Credentials(parameters.get("user") or ANYBODY.name, parameters.get("password", ""))
    return None
