"""Results come in the format that the statement or the request names."""

import re

import pytest

from support.clickhouse import Server


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
