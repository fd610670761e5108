"""Tables that a request brings with it exist for its query."""

from support.clickhouse import Server


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
