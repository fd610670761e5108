"""Parse, normalize and check hosts and origins of HTTP headers and command-line flags."""

import ipaddress
import re
import socket

from localkit.errors import HostError

_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:@/?#\\\s]+)(:(?P<port>[0-9]{0,5}))?")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
"""The form of an IPv4 address as a single number, which browsers accept."""
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def host_of(authority: str) -> str | None:
    """Return the host of a `Host` header, normalized; None if the header is not `host` or `host:port`.

    Names are in lower case without the trailing dot, IPv6 addresses without brackets.
    """
    parts = _AUTHORITY.fullmatch(authority.strip())
    if parts is None:
        return None
    host = parts["host"].lower()
    if host.startswith("["):
        return host.strip("[]") if _ip(host.strip("[]")) is not None else None
    host = host.removesuffix(".")
    return host if _NAME.fullmatch(host) else None


def origin_of(text: str) -> str | None:
    """Return an `Origin` header, normalized; None for `null` and everything else that is not scheme://host[:port]."""
    scheme, separator, authority = text.strip().partition("://")
    scheme, parts = scheme.lower(), _AUTHORITY.fullmatch(authority)
    host = host_of(authority)
    if not separator or not _SCHEME.fullmatch(scheme) or parts is None or host is None:
        return None
    port = (parts["port"] or "").lstrip("0")
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" + (f":{port}" if port and port != _DEFAULT_PORTS.get(scheme) else "")


def is_loopback_name(host: str) -> bool:
    """Return whether a normalized host names the machine itself: a loopback address, or `localhost`."""
    address = _ip(host)
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return address.is_loopback if address is not None else host == "localhost" or host.endswith(".localhost")


def is_local_network_name(host: str) -> bool:
    """Return whether a normalized host is a name that no web page can give to an address of its choice.

    These are IP addresses, names without a dot (containers, machines of the local network) and the names of this
    machine. DNS rebinding needs a name in a domain of the attacker.
    """
    address = _ip(host)
    if address is not None:
        return not address.is_unspecified
    machine = socket.gethostname().lower()
    return not _NUMBER.fullmatch(host) and ("." not in host or host in (machine, f"{machine}.local"))


def is_loopback_address(address: str) -> bool:
    """Return whether only this machine can reach a server that binds to `address`, a name or an IP address."""
    try:
        entries = socket.getaddrinfo(address or None, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return False
    return all(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_loopback for entry in entries)


def is_ip(host: str) -> bool:
    """Return whether a normalized host is an IP address."""
    return _ip(host) is not None


def parse_host(value: str) -> str:
    """Return the value of `--allow-host`, normalized. Raises HostError if it is not a host name or IP address."""
    text = value.strip()
    address = _ip(text.strip("[]"))
    if address is not None:
        return str(address)
    host = host_of(text)
    if host is None or ":" in text:
        raise HostError(
            f"--allow-host {value!r} is not a host. Write one name or IP address without scheme, port, path or "
            "wildcard, such as t0dspy.example.com; repeat the option for more."
        )
    return host


def parse_origin(value: str) -> str:
    """Return the value of `--allow-origin`, normalized. Raises HostError if it is not scheme://host[:port]."""
    origin = origin_of(value)
    if origin is None:
        raise HostError(
            f"--allow-origin {value!r} is not an origin. Write scheme://host[:port] without a path or wildcard, such "
            "as http://localhost:5173; repeat the option for more."
        )
    return origin


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
