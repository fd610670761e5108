"""What curl needs: routes, statements, settings, formats, headers and errors."""

import gzip
import json
import re

import httpx
import lz4.frame
import pytest
import zstandard

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


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("SELECT 1 AS x FORMAT JSONEachRow", '{"x":1}\n'),
        ("SELECT 1 AS x FORMAT JSONEachRow SETTINGS max_threads = 1", '{"x":1}\n'),
        ("SELECT 1 AS x SETTINGS max_threads = 1 FORMAT JSONEachRow;", '{"x":1}\n'),
        ("SELECT 1 AS x -- FORMAT Native", "1\n"),
        ("SELECT ' FORMAT Native' AS x", " FORMAT Native\n"),
        ("SELECT 1 AS x WHERE 0 FORMAT CSVWithNames", '"x"\n'),
        ("SELECT number % 2 AS k, count() FROM numbers(3) GROUP BY k WITH TOTALS ORDER BY k", "0\t2\n1\t1\n\n0\t3\n"),
        ("SHOW DATABASES LIKE 'system'", "system\n"),
        ("EXISTS TABLE system.one", "1\n"),
        ("SELECT '--' AS x FORMAT JSONEachRow", '{"x":"--"}\n'),
        ("SELECT 1 AS x /* FORMAT Native", None),
    ],
)
def test_formats_of_statements(server: Server, sql: str, answer: str | None) -> None:
    """The format that a statement names is the one it gets, and text that looks like one is text."""
    assert server.post(sql).text == answer or answer is None


def test_default_format(server: Server) -> None:
    """`default_format` and X-ClickHouse-Format count where the statement names no format."""
    assert server.run("SELECT 1 AS x", default_format="JSONEachRow") == '{"x":1}\n'
    assert server.post("SELECT 1 AS x", headers={"X-ClickHouse-Format": "CSV"}).text == "1\n"
    assert server.run("SELECT 'a' FORMAT TSV", default_format="JSONEachRow") == "a\n"
    unknown = server.post("SELECT 1", default_format="No such; format")
    assert (unknown.status_code, unknown.headers["x-clickhouse-exception-code"]) == (404, "73")


def test_every_format_arrives_whole(server: Server) -> None:
    """A result that is streamed has the same bytes as one that was held back, for formats with and without an end."""
    for name in (
        "JSON",
        "CSVWithNames",
        "Native",
        "Parquet",
        "ArrowStream",
        "XML",
        "TSV",
        "RowBinaryWithNamesAndTypes",
    ):
        sql = f"SELECT number, toString(number) AS s FROM numbers(300000) FORMAT {name} SETTINGS max_threads = 1"
        streamed, held = server.post(sql).content, server.post(sql, wait_end_of_query=1).content
        assert _without_times(streamed) == _without_times(held), name
        assert len(held) > 1_000_000, name


def _without_times(body: bytes) -> bytes:
    return re.sub(rb'(elapsed[">: ]+)[0-9.e-]+|_[0-9a-f-]{36}', rb"\1", body)


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


@pytest.mark.parametrize("place", ["url", "body"])
@pytest.mark.parametrize("encoding", [None, "gzip", "lz4", "zstd"])
def test_inserts(server: Server, table: str, place: str, encoding: str | None) -> None:
    """Rows come in the body, compressed or not, behind the statement or with it in the URL; any bytes do."""
    pack = {None: bytes, "gzip": gzip.compress, "lz4": lz4.frame.compress, "zstd": zstandard.compress}[encoding]
    statement, rows = f"INSERT INTO {table} FORMAT RowBinary", bytes([1, *7 * [0], 4, 0xFF, 0, 0x3B, 0x27])
    headers = {"content-encoding": encoding} if encoding else {}
    if place == "url":
        answer = server.post(pack(rows), query=statement, headers=headers)
    else:
        answer = server.post(pack(statement.encode() + b"\n" + rows), headers=headers)
    assert answer.status_code == 200, answer.text
    assert server.run(f"SELECT id, hex(name) FROM {table}") == "1\tFF003B27\n"


def test_json_lines(server: Server, table: str) -> None:
    """JSONEachRow may hold anything that looks like SQL."""
    rows = [
        {"id": n, "name": text}
        for n, text in enumerate(["'; DROP TABLE t; --", "a\n;\nb", "INTO OUTFILE 'x'", "\x00é"])
    ]
    server.run("\n".join([f"INSERT INTO {table} FORMAT JSONEachRow", *map(json.dumps, rows)]))
    answer = server.run(
        f"SELECT * FROM {table} ORDER BY id FORMAT JSONEachRow", output_format_json_quote_64bit_integers=0
    )
    assert [json.loads(line) for line in answer.splitlines()] == rows


@pytest.mark.parametrize(
    "head",
    [
        "INSERT INTO {} FORMAT CSV\n",
        "insert into table {} (name, id) settings async_insert=1, wait_for_async_insert=1 format CSV\n",
        "/* FORMAT */ INSERT INTO {} (`name`, /* FORMAT */ id) -- FORMAT x\n FORMAT CSV ",
        "INSERT INTO {{t:Identifier}} FORMAT CSV\r\n",
    ],
)
def test_empty_lines_in_rows(server: Server, table: str, head: str) -> None:
    """Rows go on after an empty line, and nothing in them is ever a statement."""
    database = table.removesuffix(".t")
    text = "a\n\nDROP TABLE t;\n\n;SELECT 1"
    row = f'"{text}",7\n' if "name" in head else f'7,"{text}"\n'
    server.run(head.format("t") + row, database=database, param_t="t")
    assert server.run("SELECT id, name FROM t FORMAT JSONCompactEachRow", database=database).startswith("[")
    assert json.loads(server.run("SELECT name FROM t FORMAT JSONCompactEachRow", database=database)) == [text]


@pytest.mark.parametrize("name", ["format", "values", "select", "a FORMAT TSV"])
def test_tables_with_confusing_names(server: Server, database: str, name: str) -> None:
    """A table may be called like a word of the statement."""
    server.run(f"CREATE TABLE `{name}` (x String) ENGINE = Memory", database=database)
    server.run(f"INSERT INTO `{name}` FORMAT TSV\na\n", database=database)
    if " " not in name:
        server.run(f"INSERT INTO {database}.{name} FORMAT TSV\nb\n", database=database)
        server.run(f"INSERT INTO {database}.{name} (x) SELECT 'format TSV'", database=database)
    server.run(f"INSERT INTO `{name}` VALUES ('a\n\n, format TSV'), ('d')", database=database)
    assert server.run(f"SELECT count() FROM `{name}`", database=database) == ("5\n" if " " not in name else "3\n")


def test_broken_inserts_store_nothing(server: Server, table: str) -> None:
    """Rows that cannot be read are an error with a line number, and none of them is stored."""
    answer = server.post("1\ta\nx\tb\n", query=f"INSERT INTO {table} FORMAT TSV")
    assert answer.status_code == 400
    assert "row 2" in answer.text or "at row 1" in answer.text
    assert server.run(f"SELECT count() FROM {table}") == "0\n"


@pytest.mark.parametrize("encoding", ["gzip", "lz4", "zstd", "deflate"])
@pytest.mark.parametrize("rows", [3, 400_000])
def test_compressed_answers(server: Server, encoding: str, rows: int) -> None:
    """An answer is compressed as Accept-Encoding asks, held back or streamed."""
    with server.http.stream(
        "POST", "/", content=f"SELECT number FROM numbers({rows})", headers={"accept-encoding": encoding}
    ) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == encoding
    unpack = {"gzip": gzip.decompress, "lz4": lz4.frame.decompress, "zstd": _unzstd, "deflate": _inflate}[encoding]
    assert unpack(raw).split() == [str(number).encode() for number in range(rows)]


def _unzstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def _inflate(data: bytes) -> bytes:
    import zlib

    return zlib.decompress(data)


def test_compression_can_be_declined(server: Server) -> None:
    """`enable_http_compression=0` and `q=0` mean plain bytes."""
    for settings, accepted in (({"enable_http_compression": 0}, "gzip"), ({}, "gzip;q=0"), ({}, "br"), ({}, "")):
        answer = server.post("SELECT 1", headers={"accept-encoding": accepted}, **settings)
        assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("encoding", ["gzip", "lz4", "zstd"])
def test_broken_compression(server: Server, encoding: str) -> None:
    """A body that is not what Content-Encoding says, or is cut off, is an error."""
    whole = {"gzip": gzip.compress, "lz4": lz4.frame.compress, "zstd": zstandard.compress}[encoding](b"SELECT 1" * 99)
    for body in (b"SELECT 1", whole[:-5], whole + b"?"):
        answer = server.post(body, headers={"content-encoding": encoding})
        assert answer.headers["x-clickhouse-exception-code"] == "271", answer.text


def test_what_is_not_supported_says_so(server: Server) -> None:
    """ClickHouse's own block compression and unknown encodings are a 501."""
    for headers, settings in (({"content-encoding": "br"}, {}), ({}, {"compress": 1}), ({}, {"decompress": 1})):
        assert server.post("SELECT 1", headers=headers, **settings).status_code == 501


def test_external_data(server: Server) -> None:
    """Tables may come with a query, in any format, described by columns or by types."""
    url = {
        "query": "SELECT sum(x.id), any(y._2) FROM x, y",
        "x_structure": "id UInt64, note String",
        "y_types": "UInt8,Array(String)",
    }
    files = {"x": ("x.tsv", b"1\ta\n2\tb\n"), "y": ("y.tsv", b"7\t['z']\n")}
    answer = server.http.post("/", params=url, files=files)
    assert answer.text == "3\t['z']\n"


def test_external_data_as_the_gateway_sends_it(server: Server, table: str) -> None:
    """Everything may stand in form fields, too; and an INSERT may read what came with it."""
    fields = {"query": f"INSERT INTO {table} SELECT * FROM new_data", "new_data_format": "JSONEachRow"}
    fields |= {"new_data_structure": "id UInt64, name String"}
    answer = server.http.post("/", data=fields, files={"new_data": ("f", b'{"id":5,"name":"a"}')})
    assert answer.status_code == 200, answer.text
    assert server.run(f"SELECT * FROM {table}") == "5\ta\n"
    assert server.post("SELECT * FROM new_data").status_code == 404  # gone with its query


def test_broken_external_data(server: Server) -> None:
    """A table without columns, rows that do not fit, and a broken form are errors."""
    file = {"x": ("x", b"1\n")}
    assert server.http.post("/", params={"query": "SELECT 1"}, files=file).status_code == 400
    for structure in ("id UInt64, other", "id NoSuchType", "id UInt8) ENGINE = Memory; DROP TABLE x; --"):
        answer = server.http.post("/", params={"query": "SELECT 1", "x_structure": structure}, files=file)
        assert answer.status_code in (400, 404, 500)
        assert "DB::Exception" in answer.text
    for name in ("multipart/form-data", "multipart/form-data; boundary=x"):
        answer = server.post(b"--y\r\nnonsense", query="SELECT 1", headers={"content-type": name})
        assert answer.status_code == 400


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
