"""Every row that an insert reports is stored, in the table and in the views that hang on it."""

import gzip
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import lz4.frame
import pytest
import zstandard

from support.clickhouse import Server
from t0dspy.transport.episode import new_episode

TARGET = "01a1f8fb-7866-7ac2-942b-9bd3241bca61"
INSERT = "INSERT INTO BooleanMetricFeedback {} FORMAT JSONEachRow\n"
TOGETHER = "\nSETTINGS async_insert=1, wait_for_async_insert=1\n"
"""As the gateway asks for it."""
INFERENCE = (
    "INSERT INTO InferenceById (id_uint, function_name, variant_name, episode_id, function_type) "
    f"SELECT toUInt128(toUUID('{TARGET}')), 'f', 'v', toUUID('{TARGET}'), 'chat'"
)
"""What the feedback is about: without it, the view that joins has nothing to do."""
CLIENTS, ROUNDS = 32, 20


@pytest.mark.slow
@pytest.mark.parametrize("settings", ["", TOGETHER], ids=["alone", "together"])
def test_views_lose_nothing(tmp_path: Path, migrated: Path, settings: str) -> None:
    """Feedback from 32 clients at once is in TensorZero's table, and in each of the views of it."""
    data = tmp_path / "data"
    shutil.copytree(migrated / "clickhouse", data, symlinks=True)
    with Server(data) as server:
        server.run(INFERENCE, database="tensorzero")

        def client(_: int) -> list[str]:
            ids = [str(new_episode()) for _ in range(ROUNDS)]
            with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as http:
                for id in ids:
                    row = {"id": id, "target_id": TARGET, "metric_name": "good", "value": True, "tags": {"k": id}}
                    answer = http.post("/?database=tensorzero", content=INSERT.format(settings) + json.dumps(row))
                    assert answer.status_code == 200, answer.text
                    look = f"SELECT count() FROM BooleanMetricFeedbackByTargetId WHERE target_id = '{TARGET}'"
                    assert http.post("/?database=tensorzero", content=f"{look} AND id = '{id}'").status_code == 200
            return ids

        with ThreadPoolExecutor(CLIENTS) as pool:
            ids = {id for ids in pool.map(client, range(CLIENTS)) for id in ids}
        sql = "SELECT {} FROM tensorzero.{} WHERE target_id = '{}'"
        stored = {
            "table": server.run(sql.format("id", "BooleanMetricFeedback", TARGET)).split(),
            "by target": server.run(sql.format("id", "BooleanMetricFeedbackByTargetId", TARGET)).split(),
            "tags": server.run("SELECT value FROM tensorzero.FeedbackTag WHERE key = 'k'").split(),
        }
        lost = {name: len(ids - set(found)) for name, found in stored.items()}
        assert lost == dict.fromkeys(stored, 0)
        assert [len(found) for found in stored.values()] == [CLIENTS * ROUNDS] * 3


@pytest.mark.parametrize(
    ("columns", "format", "rows", "stored"),
    [
        ("", "JSONEachRow", '{"id":1}\n\n{"id":2,"name":"x"}', "1\tof 1\t2\n2\tx\t4\n"),
        ("(name, half)", "JSONEachRow", '{"half":4}', "0\tof 0\t0\n"),
        ("(id, name)", "CSV", '3,"a\n\nb"\n', "3\ta\\n\\nb\t6\n"),
        ("(id, name)", "Values", "(4, concat('a', 'b')),\n\n(5, ';')", "4\tab\t8\n5\t;\t10\n"),
        ("(id) SETTINGS input_format_allow_errors_num=1", "TSV", "x\n6\n", "6\tof 6\t12\n"),
        ("SETTINGS input_format_skip_unknown_fields=1 /* ' */", "JSONEachRow", '{"id":7,"no":1}', "7\tof 7\t14\n"),
        ("", "JSONEachRow", "", ""),
        ("", "RowBinary", "", ""),
        ("", "JSONEachRow", "\n\n", ""),
    ],
)
@pytest.mark.parametrize("with_insert", ["INSERT", "/* ' */ insert", "WITH 1 AS format INSERT"])
def test_heads_and_formats(
    server: Server, database: str, with_insert: str, columns: str, format: str, rows: str, stored: str
) -> None:
    """Rows of any format go with any head; defaults may be made of columns that are not inserted."""
    server.run(
        "CREATE TABLE d (id UInt64, name String DEFAULT concat('of ', toString(twice / 2)), half UInt64 EPHEMERAL 1, "
        "twice UInt64 MATERIALIZED id * 2) ENGINE = MergeTree ORDER BY id",
        database=database,
    )
    answer = server.post(f"{with_insert} INTO d {columns} FORMAT {format}\n{rows}", database=database)
    assert answer.status_code == 200, answer.text
    assert json.loads(answer.headers["x-clickhouse-summary"])["written_rows"] == str(stored.count("\n"))
    assert server.run("SELECT id, name, twice FROM d ORDER BY id", database=database) == stored


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("INSERT INTO t FORMAT TSV\n1\ta\nx\tb\n", 27),
        ("INSERT INTO t FORMAT JSONEachRow\n{", 33),
        ("INSERT INTO t FORMAT Values (1, {'a')", 62),
        ("INSERT INTO t FORMAT Values (1, nothing)", 47),
        ("INSERT INTO t FORMAT RowBinary\n1", 33),
        ("INSERT INTO t FORMAT Pretty\n1", 85),
        ("INSERT INTO t FORMAT NoSuchFormat\n1", 73),
        ("INSERT INTO t (no) FORMAT TSV\n1", 16),
        ("INSERT INTO t (id FORMAT TSV\n1", 62),
        ("INSERT INTO t; DROP TABLE t FORMAT TSV\n1", 62),
        ("INSERT INTO t SETTINGS no_such=1 FORMAT TSV\n1", 115),
        ("INSERT INTO no FORMAT TSV\n1", 60),
        ("INSERT INTO {x:Identifier} FORMAT TSV\n1", 456),
        ("INSERT INTO t SELECT * FROM /**/ input('id UInt64, name String') FORMAT TSV\n1\ta\n\n;", 48),
    ],
)
def test_errors_are_about_the_clients_text(server: Server, table: str, sql: str, code: int) -> None:
    """An insert that fails stores nothing, and its error knows nothing of how the rows came to the engine."""
    answer = server.post(sql, database=table.removesuffix(".t"))
    assert answer.headers.get("x-clickhouse-exception-code") == str(code), answer.text
    assert not any(word in answer.text for word in ("/dev/fd", "INFILE '", "from file", "executing File"))
    assert server.run(f"SELECT count() FROM {table}") == "0\n"


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t FROM INFILE '{}' FORMAT TSV",
        "insert into t (id, name) from/**/infile -- x\n '{}' format TSV",
        "WITH 1 AS x INSERT INTO t FROM INFILE '{}' FORMAT TSV",
        "/* ' */ INSERT INTO FUNCTION null($$x ', id UInt8$$) FROM INFILE '{}' FORMAT TSV --'",
        "INSERT INTO t FROM INFILE $$''{}$$ FORMAT TSV",
        "INSERT INTO t FROM INFILE '{}' SETTINGS max_threads=1 FORMAT TSV\n1\ta",
    ],
)
def test_files_of_the_server_are_not_inserted(server: Server, table: str, tmp_path: Path, sql: str) -> None:
    """A client's INSERT cannot name a file; its rows may, and a table may be called like the word."""
    file, database = tmp_path / "rows.tsv", table.removesuffix(".t")
    file.write_text("1\ta\n")
    answer = server.post(sql.format(file), database=database)
    assert answer.headers["x-clickhouse-exception-code"] == "78", answer.text
    server.run("CREATE TABLE infile (id UInt64, name String) ENGINE = Memory", database=database)
    server.run(f"INSERT INTO infile FORMAT TSV\n1\tFROM INFILE '{file}'\n", database=database)
    server.run(f"INSERT INTO infile VALUES (1, 'FROM INFILE ''{file}''')", database=database)
    server.run("INSERT INTO t SELECT * FROM infile", database=database)
    assert server.run("SELECT count() FROM t WHERE name LIKE 'FROM INFILE%'", database=database) == "2\n"


@pytest.mark.parametrize("asked", ["", TOGETHER], ids=["alone", "together"])
def test_bytes_that_are_no_text(server: Server, table: str, asked: str) -> None:
    """A body in another encoding is refused in words, and the log knows of no bug."""
    sql = f"INSERT INTO t {asked} FORMAT JSONEachRow\n".encode() + '{"id": 1}'.encode("utf-16")
    answer = server.post(sql, database=table.removesuffix(".t"))
    assert (answer.status_code, answer.headers["x-clickhouse-exception-code"]) == (400, "27")
    assert "expected '{' before" in answer.text
    assert server.run(f"SELECT count() FROM {table}") == "0\n"


def test_constraints(server: Server, database: str) -> None:
    """Rows that a table's constraints forbid are refused."""
    server.run("CREATE TABLE c (id UInt64, CONSTRAINT small CHECK id < 9) ENGINE = Memory", database=database)
    answer = server.post("INSERT INTO c FORMAT TSV\n9\n", database=database)
    assert answer.headers["x-clickhouse-exception-code"] == "469", answer.text


def test_large_inserts(server: Server, table: str) -> None:
    """Ten megabytes with empty lines in them are stored as they are."""
    rows = "".join(f'{number},"{"y" * 100}\n\n;"\n' for number in range(90_000))
    server.run(f"INSERT INTO {table} FORMAT CSV\n{rows}")
    assert (
        server.run(f"SELECT count(), uniqExact(id), sum(length(name)) FROM {table}") == f"90000\t90000\t{9_270_000}\n"
    )


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
