"""ClickHouse's HTTP interface over chDB, for `clickhouse-connect`, `curl` and other HTTP clients.

It runs as a process of its own (`python -m chdb_http --help`). Statements reach the engine as the client wrote them.
README.md has the options and the promises.

    an HTTP request -> request.py -> Query -> execution.py, engine.py -> Outcome -> response.py -> an HTTP response
"""

from chdb_http.command import command_line

__all__ = ["command_line"]
