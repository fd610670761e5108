"""ClickHouse's HTTP interface over chDB: what the TensorZero gateway, `clickhouse-connect` and `curl` need.

It runs as a process of its own (`python -m chdb_http --help`) and has no SQL dialect of its own:
statements reach the engine as the client wrote them. A client may do what the process may, which with ClickHouse's
`file()` includes reading and writing files: so it binds to loopback, and takes no requests from web pages.

    an HTTP request -> request.py -> Query -> engine.py, execution.py -> Outcome -> answer.py -> an HTTP response
"""

from chdb_http.command import command_line

__all__ = ["command_line"]
