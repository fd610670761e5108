"""What clickhouse-connect needs."""

import datetime
import uuid
from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, Error, StreamFailureError
from clickhouse_connect.driver.external import ExternalData

from support.clickhouse import Server


@pytest.fixture
def client(server: Server, database: str) -> Iterator[Client]:
    """A client of the test's own database."""
    with server.client(database=database) as connected:
        connected.command("CREATE TABLE t (id UInt64, name String) ENGINE = MergeTree ORDER BY id")
        yield connected


@pytest.mark.parametrize("compress", ["lz4", "zstd", "gzip", True, False])
def test_insert_and_query(server: Server, database: str, compress: str | bool) -> None:
    """Rows go in and come out alike, with every compression that the client knows."""
    rows = [[number, "é'\n\0" * (number % 50)] for number in range(5000)]
    with server.client(database=database, compress=compress) as client:
        client.command("CREATE TABLE t (id UInt64, name String) ENGINE = MergeTree ORDER BY id")
        summary = client.insert("t", rows, column_names=["id", "name"])
        assert summary.written_rows == len(rows)
        assert [list(row) for row in client.query("SELECT * FROM t ORDER BY id").result_rows] == rows
        assert client.query("SELECT * FROM t LIMIT 0").column_names == ("id", "name")


def test_types(client: Client) -> None:
    """Types arrive as Python's."""
    columns = "u UUID, d DateTime64(3, 'UTC'), a Array(Nullable(Int8)), m Map(String, UInt64), l LowCardinality(String)"
    client.command(f"CREATE TABLE kinds ({columns}) ENGINE = Memory")
    day = datetime.datetime(2026, 1, 2, 3, 4, 5, 678000)
    row = [uuid.uuid4(), day, [1, None], {"k": 2**63}, "low"]
    client.insert("kinds", [row])
    (answer,) = client.query("SELECT * FROM kinds").result_rows
    assert list(answer) == row


def test_parameters(client: Client) -> None:
    """Values that look like SQL are values, bound by the server."""
    hostile = "'; DROP TABLE t; -- \\ \n {x:String}"
    answer = client.query("SELECT {a:String}, {b:Array(String)}", parameters={"a": hostile, "b": [hostile, "x"]})
    assert answer.first_row == (hostile, [hostile, "x"])


def test_streams(client: Client) -> None:
    """A result may be read block by block."""
    with client.query_row_block_stream("SELECT number FROM numbers(300000)") as blocks:
        sizes = [len(block) for block in blocks]
    assert sum(sizes) == 300_000
    assert len(sizes) > 1


def test_a_stream_that_is_left_early(client: Client) -> None:
    """A client that stops reading may go on with other queries."""
    with client.query_row_block_stream("SELECT number FROM numbers(30000000)") as blocks:
        next(iter(blocks))
    assert client.command("SELECT 1") == 1


def test_errors_in_streams(client: Client) -> None:
    """An error that comes late is raised with ClickHouse's text."""
    sql = "SELECT throwIf(number = 3000000) FROM numbers(9000000)"
    with pytest.raises(StreamFailureError, match="Code: 395"), client.query_row_block_stream(sql) as blocks:
        list(blocks)


def test_errors(client: Client) -> None:
    """An error names its code."""
    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
        client.query("SELECT * FROM nope")
    with pytest.raises(DatabaseError, match="SYNTAX_ERROR"):
        client.command("CREATE NOTHING")


def test_commands(client: Client) -> None:
    """Commands give values, texts or a summary."""
    assert client.command("SELECT count() FROM t") == 0
    assert client.command("INSERT INTO t VALUES (1, 'a')").written_rows == 1  # type: ignore[union-attr]
    assert client.command("EXISTS TABLE t") == 1
    assert client.command("SELECT name FROM t WHERE 0") == ""


def test_settings(client: Client) -> None:
    """Settings of one query, and of the client."""
    assert client.command("SELECT getSetting('max_block_size')", settings={"max_block_size": 123}) == 123
    client.set_client_setting("max_block_size", 321)
    assert client.command("SELECT getSetting('max_block_size')") == 321


def test_external_data(client: Client) -> None:
    """A query may bring its own table."""
    table = ExternalData(file_name="ids.csv", data=b"1\n2\n", fmt="CSV", structure="id UInt64")
    assert client.query("SELECT sum(id) FROM ids", external_data=table).first_row == (3,)


def test_form_encoded_queries(server: Server) -> None:
    """Query and parameters may come as form fields, as the client sends long ones."""
    with server.client(form_encode_query_params=True) as client:
        assert client.query("SELECT {x:String}", parameters={"x": "a" * 2_000_000}).first_row == ("a" * 2_000_000,)


def test_sessions(server: Server) -> None:
    """A client has a session; temporary tables live in it."""
    with server.client(session_id="of-client") as client:
        client.command("CREATE TEMPORARY TABLE mine (x UInt8)")
        client.insert("mine", [[1], [2]])
        assert client.command("SELECT sum(x) FROM mine") == 3


def test_raw(client: Client) -> None:
    """Rows and results in a format of one's own."""
    client.raw_insert("t", insert_block=b"1,a\n2,b\n", fmt="CSV", compression=None)
    assert client.raw_query("SELECT * FROM t ORDER BY id", fmt="JSONCompactEachRow").count(b"\n") == 2
    assert client.query_arrow("SELECT * FROM t").num_rows == 2


def test_wrong_password(server: Server) -> None:
    """A server without users has one: `default`, without a password."""
    for credentials in ({"username": "default", "password": "x"}, {"username": "root"}):
        with pytest.raises(Error, match="516"):
            server.client(**credentials)
