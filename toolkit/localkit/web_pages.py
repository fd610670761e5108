"""Detect requests that come from foreign web pages, and refuse them in an ASGI middleware.

Every page in a browser can send requests to 127.0.0.1, so a server there must not assume that it is unreachable.
Browsers mark such requests: `Sec-Fetch-Site` names the relation of the page to the server (Fetch Metadata, W3C),
`Origin` names the page (Fetch standard, WHATWG), and after DNS rebinding the `Host` is the attacker's name.
"""

from argparse import ArgumentParser
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from localkit.host_names import (
    host_of,
    is_ip,
    is_local_network_name,
    is_loopback_name,
    origin_of,
    parse_host,
    parse_origin,
)

_OWN_SITES = ("none", "same-origin")
_METHODS = ("GET", "HEAD", "POST", "OPTIONS")
_SHOWN = 100


@dataclass(frozen=True)
class Allowed:
    """The hosts and origins that requests may name in addition to the server's own."""

    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()

    @staticmethod
    def add_flags(parser: ArgumentParser) -> None:
        """Add `--allow-host` and `--allow-origin` to `parser`; `parse` reads their values."""
        parser.add_argument(
            "--allow-host", action="append", default=[], metavar="H", help="a host name that requests may use"
        )
        parser.add_argument(
            "--allow-origin",
            action="append",
            default=[],
            metavar="O",
            help="the origin of a web page that may send requests",
        )

    @classmethod
    def parse(cls, hosts: Iterable[str], origins: Iterable[str], listening_on: str = "") -> "Allowed":
        """Read the values of `--allow-host`, `--allow-origin` and `--host`, whose name is allowed as well.

        Raises HostError for a wrong host or origin.
        """
        listening = host_of(listening_on)
        named = frozenset(map(parse_host, hosts)) | (
            {listening} if listening is not None and not is_ip(listening) else frozenset()
        )
        return cls(named, frozenset(map(parse_origin, origins)))

    def flags(self) -> list[str]:
        """Return the command-line arguments from which `parse` reads these values."""
        hosts = [f"--allow-host={host}" for host in sorted(self.hosts)]
        return hosts + [f"--allow-origin={origin}" for origin in sorted(self.origins)]


NONE_ALLOWED = Allowed()


def refuse_web_page(headers: Iterable[tuple[bytes, bytes]], allowed: Allowed, *, local_only: bool) -> str | None:
    """Decide whether a request comes from a web page that may not send it.

    Args:
        headers: the request's headers, as ASGI gives them; the method does not matter.
        allowed: what `--allow-host` and `--allow-origin` name.
        local_only: whether the server listens on a loopback address. Otherwise an IP address, a name without a dot
            and the machine's own name are accepted as `Host` too, because containers and other machines use them.

    Returns:
        The reason for a refusal, in one sentence that names the header, its value and the flag that allows it; None if
        the request is accepted. A request without `Host` (HTTP/1.0) is accepted: browsers always send one.
    """
    names = {b"host": "Host", b"origin": "Origin", b"sec-fetch-site": "Sec-Fetch-Site"}
    given: dict[str, list[str]] = {name: [] for name in names.values()}
    for name, value in headers:
        if name.lower() in names:
            given[names[name.lower()]].append(value.decode("latin-1"))
    return (
        _refuse_host(given["Host"], allowed, local_only=local_only)
        or _refuse_origin(given["Origin"], given["Host"], allowed)
        or _refuse_site(given["Sec-Fetch-Site"], given["Origin"], allowed)
    )


def _refuse_host(values: list[str], allowed: Allowed, *, local_only: bool) -> str | None:
    if len(values) > 1:
        return _sentence("Host", ", ".join(values), "a request has one Host")
    host = host_of(values[0]) if values else "localhost"
    if host is None:
        return _sentence("Host", values[0], "it is not host or host:port")
    if is_loopback_name(host) or host in allowed.hosts or (not local_only and is_local_network_name(host)):
        return None
    return _sentence("Host", values[0], f"start with --allow-host {host} if that name is yours")


def _refuse_origin(values: list[str], hosts: list[str], allowed: Allowed) -> str | None:
    same = {origin_of(f"http://{host}") for host in hosts}
    for value in values:
        origin = origin_of(value)
        if origin is None:
            return _sentence("Origin", value, "no flag allows pages without an origin; --allow-origin allows others")
        if origin not in same and origin not in allowed.origins:
            return _sentence("Origin", value, f"start with --allow-origin {origin} if that page is yours")
    return None


def _refuse_site(values: list[str], origins: list[str], allowed: Allowed) -> str | None:
    sites = [site.strip().lower() for value in values for site in value.split(",")]
    is_allowed_page = bool(origins) and all(origin_of(origin) in allowed.origins for origin in origins)
    if is_allowed_page or all(site in _OWN_SITES for site in sites):
        return None
    return _sentence(
        "Sec-Fetch-Site",
        ", ".join(values),
        "start with --allow-origin ORIGIN to allow CORS requests of a page of yours",
    )


def _sentence(header: str, value: str, remedy: str) -> str:
    shown = value if len(value) <= _SHOWN else value[:_SHOWN] + "..."
    return f"Refused because the request seems to come from a web page: its header {header} is {shown!a} ({remedy})."


class WebPageGuard:
    """ASGI middleware: refuses what `refuse_web_page` refuses, and answers CORS requests of allowed origins."""

    def __init__(self, app: ASGIApp, allowed: Allowed, *, local_only: bool, refusal: Callable[[str], Response]) -> None:
        """Wrap `app`; `refusal` returns the response (403) for a reason, in the format of the server's errors."""
        self._allowed, self._local_only, self._refusal = allowed, local_only, refusal
        self._app = _with_cors(app, allowed) if allowed.origins else app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        reason = refuse_web_page(scope["headers"], self._allowed, local_only=self._local_only)
        if reason is None:
            return await self._app(scope, receive, send)
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008, "reason": ""})
        response = self._refusal(reason)
        response.headers["x-content-type-options"] = "nosniff"
        return await response(scope, receive, send)


def _with_cors(app: ASGIApp, allowed: Allowed) -> ASGIApp:
    return CORSMiddleware(
        app, allow_origins=allowed.origins, allow_methods=_METHODS, allow_headers=("*",), expose_headers=("*",)
    )
