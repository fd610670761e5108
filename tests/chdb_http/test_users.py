"""Users and passwords, and who else is let in."""

import base64
from collections.abc import Iterator, Mapping

import httpx
import pytest

from support.clickhouse import Server

NAME, PASSWORD = "wärter", "p:w& é'\\"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a user, and a second one who may only read."""
    directory = tmp_path_factory.mktemp("guarded") / "data"
    extra = ("--reader", "reader", "--reader-password-env", "R")
    with Server(directory, *extra, user=NAME, password_env="P", environment={"P": PASSWORD, "R": "r"}) as running:
        yield running


def _basic(name: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def test_ways_to_authenticate(guarded: Server) -> None:
    """By basic authentication, in headers, in the URL."""
    assert guarded.post("SELECT 1", headers=_basic(NAME, PASSWORD)).text == "1\n"
    assert guarded.post("SELECT 1", user=NAME, password=PASSWORD).text == "1\n"
    keys = {"x-clickhouse-user": "reader", "x-clickhouse-key": "r"}
    assert guarded.post("SELECT 1", headers=keys).text == "1\n"
    assert guarded.http.get("/ping").text == "Ok.\n"


@pytest.mark.parametrize(
    ("headers", "url", "status", "code"),
    [
        ({}, {}, 401, "194"),
        (_basic(NAME, "wrong"), {}, 403, "516"),
        (_basic("nobody", PASSWORD), {}, 403, "516"),
        (_basic("default", ""), {}, 403, "516"),
        ({"authorization": "Basic %%%"}, {}, 403, "516"),
        ({"authorization": "Basic"}, {}, 403, "516"),
        ({"authorization": "Bearer x"}, {}, 403, "516"),
        (_basic(NAME, PASSWORD), {"user": NAME, "password": PASSWORD}, 403, "516"),
        ({"x-clickhouse-user": "reader"}, {}, 403, "516"),
        ({}, {"user": "reader' OR 1", "password": "r"}, 403, "516"),
    ],
)
def test_refusals(guarded: Server, headers: Mapping[str, str], url: Mapping[str, str], status: int, code: str) -> None:
    """Whoever is not a user gets nothing, and one answer for a wrong name and a wrong password."""
    answer = guarded.post("SELECT 1", headers=headers, **url)
    assert (answer.status_code, answer.headers["x-clickhouse-exception-code"]) == (status, code)
    assert PASSWORD not in answer.text


def test_the_reader_only_reads(guarded: Server) -> None:
    """A reader's queries change nothing, in sessions neither; settings may be set."""
    reader = {"user": "reader", "password": "r"}
    guarded.run("CREATE TABLE IF NOT EXISTS t (x UInt8) ENGINE = MergeTree ORDER BY x", user=NAME, password=PASSWORD)
    for sql in ("INSERT INTO t VALUES (1)", "DROP TABLE t", "CREATE TABLE u (x UInt8) ENGINE = Memory"):
        for settings in ({}, {"readonly": 0}, {"readonly": 1}, {"session_id": "s"}):
            assert guarded.post(sql, **reader, **settings).headers["x-clickhouse-exception-code"] == "164"
    assert guarded.run("SELECT count() FROM t", max_threads=1, **reader) == "0\n"
    with guarded.client(username="reader", password="r") as client:
        assert client.query("SELECT count() FROM t").first_row == (0,)


def test_sessions_are_per_user(guarded: Server) -> None:
    """A session's name is not a way into another user's session."""
    guarded.run("CREATE TEMPORARY TABLE secret (x UInt8)", session_id="s1", user=NAME, password=PASSWORD)
    assert guarded.post("SELECT * FROM secret", session_id="s1", user="reader", password="r").status_code == 404


def test_no_web_pages(server: Server) -> None:
    """A page in a browser, also one that names localhost its own, gets nothing; localhost by any name is served."""
    for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"host": "evil.example"}):
        assert server.post("SELECT 1", headers=headers).status_code in (400, 403)
    for host in ("localhost", "127.0.0.1:1", "[::1]:8123", "clickhouse.localhost"):
        assert server.post("SELECT 1", headers={"host": host}).status_code == 200


def test_passwords_stay_out_of_sight(guarded: Server) -> None:
    """The password is not on the command line, and no query can see it."""
    with open(f"/proc/{guarded.process.pid}/cmdline") as line:
        assert PASSWORD not in line.read()
    answer = httpx.post(guarded.url, content="SELECT 1", headers=_basic(NAME, PASSWORD + "x"))
    assert PASSWORD not in answer.text
