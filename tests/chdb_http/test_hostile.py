"""Input that wants to break something."""

import socket
from typing import Any

import pytest

from support.clickhouse import Server

NAMES = [
    "x`; DROP DATABASE default; --",
    "x\\`; DROP DATABASE default; --",
    "\\",
    "`",
    "a\x00b",
    "ü/☃",
    "'",
    '"',
    "a\nb",
    "a\r\nx-evil: 1",
    "../../etc",
    " ",
    "x" * 20_000,
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names(server: Server, name: str) -> None:
    """A hostile database, setting, format, session, parameter or query id is refused; nothing else happens."""
    places: list[dict[str, Any]] = [
        {"database": name},
        {name: "1"},
        {"max_threads": name},
        {"default_format": name},
        {"param_" + name: "1"},
        {"param_x": name},
        {"query_id": name},
        {"user": name},
        {"session_id": "s", "session_timeout": name},
    ]
    for place in places:
        answer = server.post("SELECT 1", **place)
        assert answer.status_code in (200, 400, 403, 404, 500), answer.text
        assert "Traceback" not in answer.text
        assert "x-evil" not in answer.headers
    assert server.run("SELECT count() FROM system.databases WHERE name = 'default'") == "1\n"


@pytest.mark.parametrize("name", NAMES[:-1], ids=range(len(NAMES) - 1))
def test_databases_may_have_any_name(server: Server, name: str) -> None:
    """A database with such a name can be made, used and dropped."""
    server.run("CREATE DATABASE {name:Identifier} ENGINE = Memory", param_name=name)
    try:
        assert server.run("SELECT currentDatabase() FORMAT RawBLOB", database=name) == name
    finally:
        server.run("DROP DATABASE {name:Identifier}", param_name=name)


@pytest.mark.parametrize("text", NAMES, ids=range(len(NAMES)))
def test_settings_may_have_any_text(server: Server, text: str) -> None:
    """The value of a setting is a value."""
    assert server.run("SELECT getSetting('log_comment') FORMAT RawBLOB", log_comment=text) == text


def test_tables_that_come_along_may_have_any_name(server: Server) -> None:
    """External tables are quoted as well."""
    for name in ("x`; DROP DATABASE default; --", "a b", "'"):
        url = {
            "query": "SELECT count() FROM {t:Identifier}",
            "param_t": name,
            f"{name}_structure": "i UInt8",
        }
        assert server.http.post("/", params=url, files={name: ("f", b"1\n")}).text == "1\n"


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nSELECT 1",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /?query=%ff%fe%zz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"POST / HTTP/1.0\r\nHost: localhost\r\nX-ClickHouse-Database: \xff\xfe\r\nContent-Length: 8\r\n\r\nSELECT 1",
        b"GET /?query=SELECT+1 HTTP/1.1\r\nHost: [::\r\nConnection: close\r\n\r\n",
        b"GET /" + b"a" * 3_000_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=range(9),
)
def test_bytes_that_are_no_http(server: Server, raw: bytes) -> None:
    """Broken requests get an error or a closed connection; the server goes on."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        try:
            connection.sendall(raw)
            answer = connection.recv(1 << 16)
        except (ConnectionResetError, BrokenPipeError):
            answer = b""
    assert not answer or answer.startswith(b"HTTP/1.1 ")
    assert b"Traceback" not in answer
    assert server.run("SELECT 1") == "1\n"


def test_deep_and_long_statements(server: Server) -> None:
    """A statement that is too deep or too long is the engine's error."""
    for sql in (
        "SELECT " + "(" * 50_000 + "1" + ")" * 50_000,
        "SELECT '" + "a" * 3_000_000 + "' FORMAT Null",
        "SELECT " + "-" * 500_000,
    ):
        assert server.post(sql).status_code in (200, 400, 500)
    assert server.run("SELECT 1") == "1\n"
