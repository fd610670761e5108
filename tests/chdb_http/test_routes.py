"""Clients use routes, statements, settings, headers and errors as with a ClickHouse server."""

import json
import re

import httpx
import pytest

from support.clickhouse import Server


@pytest.mark.parametrize("path", ["/ping", "/replicas_status", "/"])
def test_health(server: Server, path: str) -> None:
    """Health checks say `Ok.` and ask for nothing."""
    assert server.http.get(path).text == "Ok.\n"
    head = server.http.head(path)
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("path", ["/play", "/dashboard", "/a/b/c", "/%2e%2e/%2e%2e/etc/passwd", "/%7f", "/ping/"])
def test_unknown_paths(server: Server, path: str) -> None:
    """What is not there is a 404 in plain words, not a file and not a query."""
    answer = server.http.get(path)
    assert answer.status_code in (307, 404)
    assert "root:" not in answer.text


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_unknown_methods(server: Server, method: str) -> None:
    """Only GET, HEAD and POST are known."""
    assert server.http.request(method, "/").status_code == 405


def test_query_in_url_body_or_both(server: Server) -> None:
    """A statement may stand in the URL, in the body, or begin in the one and go on in the other."""
    assert server.get("SELECT 1").text == "1\n"
    assert server.post("SELECT 2").text == "2\n"
    assert server.post("FROM numbers(3)", query="SELECT sum(number)").text == "3\n"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 5;",
        "SELECT 5 -- five",
        "/* 4 */ SELECT 5",
        "(SELECT 5)",
        "WITH 5 AS x SELECT x",
        "SELECT 5 \n ; ",
        "FROM one SELECT 5",
    ],
)
def test_shapes_of_statements(server: Server, sql: str) -> None:
    """Comments, semicolons and brackets are the engine's business."""
    assert server.run(sql, database="system") == "5\n"


def test_headers_of_an_answer(server: Server) -> None:
    """Query id, format, time zone, server and summary stand in the headers."""
    answer = server.post("SELECT number FROM numbers(7)", query_id="my query", session_timezone="Asia/Tokyo")
    assert answer.headers["x-clickhouse-query-id"] == "my query"
    assert answer.headers["x-clickhouse-format"] == "TabSeparated"
    assert answer.headers["x-clickhouse-timezone"] == "Asia/Tokyo"
    assert answer.headers["x-clickhouse-server-display-name"]
    assert answer.headers["content-type"] == "text/tab-separated-values; charset=UTF-8"
    summary = json.loads(answer.headers["x-clickhouse-summary"])
    assert (summary["read_rows"], summary["result_rows"], summary["written_rows"]) == ("7", "7", "0")


def test_summary_counts_what_was_written(server: Server, table: str) -> None:
    """X-ClickHouse-Summary of an insert has the rows that were written."""
    for sql in (
        f"INSERT INTO {table} VALUES (1, 'a'), (2, 'b')",
        f"INSERT INTO {table} SELECT number, '' FROM numbers(2)",
    ):
        assert json.loads(server.post(sql).headers["x-clickhouse-summary"])["written_rows"] == "2"


@pytest.mark.parametrize(
    ("sql", "status", "code", "name"),
    [
        ("SELEC 1", 400, 62, "SYNTAX_ERROR"),
        ("SELECT 1 /* open", 400, 62, "SYNTAX_ERROR"),
        ("SELECT 1; SELECT 2", 400, 62, "SYNTAX_ERROR"),
        ("", 400, 62, "SYNTAX_ERROR"),
        ("  \n ", 400, 62, "SYNTAX_ERROR"),
        ("SELECT * FROM no_such_table", 404, 60, "UNKNOWN_TABLE"),
        ("SELECT * FROM no_such_database.t", 404, 81, "UNKNOWN_DATABASE"),
        ("SELECT no_such_column FROM system.one", 404, 47, "UNKNOWN_IDENTIFIER"),
        ("SELECT no_such_function(1)", 404, 46, "UNKNOWN_FUNCTION"),
        ("SELECT 1 FORMAT NoSuchFormat", 404, 73, "UNKNOWN_FORMAT"),
        ("SELECT toDate('x')", 400, 38, "CANNOT_PARSE_DATE"),
        ("SELECT {x:String}", 500, 456, "UNKNOWN_QUERY_PARAMETER"),
        ("SELECT throwIf(1)", 500, 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("SELECT 1 INTO OUTFILE '/tmp/t0dspy_no_such_file'", 500, 358, "INTO_OUTFILE_NOT_ALLOWED"),
        ("CREATE USER x", 403, 497, "ACCESS_DENIED"),
    ],
)
def test_errors(server: Server, sql: str, status: int, code: int, name: str) -> None:
    """An error has ClickHouse's status, code and text, in one line and without our part in the statement."""
    answer = server.post(sql)
    assert (answer.status_code, answer.headers["x-clickhouse-exception-code"]) == (status, str(code)), answer.text
    assert re.fullmatch(rf"Code: {code}\. DB::Exception: .*\({name}\) \(version [\d.]+\)\n", answer.text, re.DOTALL)
    assert answer.text.count("DB::Exception") == 1
    assert "/dev/fd" not in answer.text


def test_get_only_reads(server: Server, table: str) -> None:
    """GET changes nothing, whatever the settings say."""
    for sql in (
        f"INSERT INTO {table} VALUES (1, '')",
        f"DROP TABLE {table}",
        "CREATE DATABASE nope",
        f"TRUNCATE {table}",
    ):
        for settings in ({}, {"readonly": 0}, {"session_id": "get"}):
            answer = server.get(sql, **settings)
            assert answer.headers["x-clickhouse-exception-code"] == "164", answer.text
    assert server.get(f"SELECT count() FROM {table}").text == "0\n"


def test_readonly_by_post(server: Server, table: str) -> None:
    """`readonly=1` is the engine's setting; it lasts as long as the query."""
    assert (
        server.post(f"INSERT INTO {table} VALUES (1, '')", readonly=1).headers["x-clickhouse-exception-code"] == "164"
    )
    server.run(f"INSERT INTO {table} VALUES (1, '')")


@pytest.mark.parametrize("way", ["url", "header", "path"])
def test_database(server: Server, database: str, way: str) -> None:
    """The database may be named in the URL's query or path, or in a header."""
    sql = "SELECT currentDatabase()"
    answers = {
        "url": lambda name: server.post(sql, database=name),
        "header": lambda name: server.post(sql, headers={"X-ClickHouse-Database": name}),
        "path": lambda name: server.http.post(f"/{name}", content=sql),
    }
    assert answers[way](database).text == f"{database}\n"
    assert answers[way]("no_such_database").headers["x-clickhouse-exception-code"] == "81"
    assert server.run(sql) == "default\n"


def test_settings_last_for_one_query(server: Server) -> None:
    """Settings in the URL are set for that query alone; unknown and unfit ones are refused."""
    sql = "SELECT getSetting('max_threads'), getSetting('join_use_nulls')"
    before = server.run(sql)
    assert server.run(sql, max_threads=3, join_use_nulls=1) == "3\ttrue\n"
    assert server.run(sql) == before
    assert server.post(sql, no_such_setting=1).headers["x-clickhouse-exception-code"] == "115"
    assert server.post(sql, max_threads="many").status_code == 400


def test_parameters(server: Server) -> None:
    """`param_x` fills `{x:Type}`, as a value or as a name."""
    sql = "SELECT {n:UInt8} + 1, {a:Array(String)}, {s:String}, {missing:Nullable(String)} FROM {t:Identifier}"
    answer = server.run(
        sql, param_n=4, param_a="['x','y']", param_s=r"tab\tend", param_missing=r"\N", param_t="one", database="system"
    )
    assert answer == "5\t['x','y']\ttab\\tend\t\\N\n"
    assert server.post("SELECT {n:UInt8}", param_n="x").status_code in (400, 500)


def test_what_is_not_supported_says_so(server: Server) -> None:
    """ClickHouse's own block compression and unknown encodings are a 501."""
    for headers, settings in (({"content-encoding": "br"}, {}), ({}, {"compress": 1}), ({}, {"decompress": 1})):
        assert server.post("SELECT 1", headers=headers, **settings).status_code == 501


def test_sessions_keep_tables_and_settings(server: Server) -> None:
    """A session has its temporary tables and its own SETs; settings in the URL are not among them."""
    mine = {"session_id": "mine"}
    server.run("CREATE TEMPORARY TABLE kept (x UInt8)", **mine)
    server.run("INSERT INTO kept VALUES (7)", **mine)
    server.run("SET max_block_size = 77", **mine)
    assert server.run("SELECT x, getSetting('max_block_size') FROM kept", max_block_size=5, **mine) == "7\t5\n"
    assert server.run("SELECT getSetting('max_block_size')", **mine) == "77\n"
    assert server.post("SELECT * FROM kept").status_code == 404
    assert server.post("SELECT * FROM kept", session_id="other").status_code == 404


def test_session_errors(server: Server) -> None:
    """A session that must exist and does not, and a timeout beyond the limit, are refused."""
    assert server.post("SELECT 1", session_id="new", session_check=1).headers["x-clickhouse-exception-code"] == "372"
    assert (
        server.post("SELECT 1", session_id="new", session_timeout=99999).headers["x-clickhouse-exception-code"] == "374"
    )


def test_late_errors_cut_the_connection(server: Server) -> None:
    """Once a result streams, an error stands at its end, between tags, and the body is visibly not whole."""
    sql = "SELECT throwIf(number = 3000000) FROM numbers(9000000) SETTINGS max_block_size = 10000, max_threads = 1"
    pieces: list[bytes] = []
    with server.http.stream("POST", "/", content=sql) as answer, pytest.raises(httpx.RemoteProtocolError):
        pieces.extend(answer.iter_bytes())
    tag = answer.headers["x-clickhouse-exception-tag"].encode()
    assert answer.status_code == 200
    epitaph = rb"__exception__\r\n%b\r\nCode: 395\. .*\n\d+ %b\r\n__exception__\r\n$" % (tag, tag)
    assert re.search(epitaph, b"".join(pieces))


def test_waiting_for_the_end_gives_late_errors_a_status(server: Server) -> None:
    """With `wait_end_of_query`, the same error is a 500."""
    sql = "SELECT throwIf(number = 3000000) FROM numbers(9000000) SETTINGS max_block_size = 10000, max_threads = 1"
    assert server.post(sql, wait_end_of_query=1).status_code == 500
