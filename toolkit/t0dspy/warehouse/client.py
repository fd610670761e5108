"""A connection to ClickHouse, with the queries of the runtime."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from t0dspy.errors import WarehouseError
from t0dspy.model import Text
from t0dspy.warehouse.questions import question

PATIENCE = 300
"""Seconds to wait for the next part of an answer."""


@dataclass(frozen=True)
class StoredInference:
    """An inference as the gateway logged it."""

    function: str
    variant: str
    episode: str
    type: Text
    output: str
    """JSON: an object with `raw` and `parsed`, or a list of content blocks."""
    output_schema: str
    """JSON; empty for a function of type chat."""


class Warehouse:
    """The database that the gateway logs to; use it as a context manager."""

    def __init__(self, url: str, patience: int = PATIENCE, connect: int = 10) -> None:
        """Connect to the server and database of `url`, such as `http://localhost:8123/tensorzero`.

        Args:
            url: the URL of the server with the name of the database.
            patience: seconds to wait for the next part of an answer.
            connect: seconds to wait for a connection.

        Raises:
            WarehouseError: the server cannot be reached, or refuses the user.
        """
        import clickhouse_connect

        # Workaround (clickhouse-connect 1.12): clickhouse-connect logs each error that it raises; remove when
        # it only raises.
        logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
        self._name = _without_password(url)
        with self._translated():
            self._client = clickhouse_connect.get_client(
                dsn=url, autogenerate_session_id=False, send_receive_timeout=patience, connect_timeout=connect
            )

    def __enter__(self) -> "Warehouse":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def inference(self, id: str) -> StoredInference | None:
        """Return the inference with this id; None if there is none. Raises WarehouseError."""
        rows = self.ask("inference", {"id": id})
        return StoredInference(*rows[0]) if rows else None

    def feedback_is_stored(self, id: str, metric: str, target: str) -> bool:
        """Return whether the feedback `id` about `target` is stored. Raises WarehouseError."""
        return bool(self.ask("feedback_stored", {"id": id, "metric": metric, "target": target}))

    def config(self, hash: str) -> str | None:
        """Return the TOML of a config as the gateway resolved it, by its hash in the format of `/status`.

        None if no gateway that logs here has loaded it. Raises WarehouseError.
        """
        rows = self.ask("config", {"hash": hash})
        return str(rows[0][0]) if rows else None

    def ask(self, name: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Return the rows of the question `name`, all of them in memory. Raises WarehouseError."""
        return list(zip(*self.columns(name, parameters), strict=True))

    def columns(self, name: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Return the same column by column; no columns if there are no rows. Raises WarehouseError."""
        sql = question(name, frozenset(key for key, value in parameters.items() if value))
        with self._translated():
            answer = self._client.query(sql, parameters=dict(parameters), column_oriented=True)
            columns: Sequence[Sequence[Any]] = answer.result_columns
        return columns

    @contextmanager
    def _translated(self) -> Iterator[None]:
        from clickhouse_connect.driver.exceptions import ClickHouseError
        from urllib3.exceptions import HTTPError

        try:
            yield
        except (ClickHouseError, HTTPError, OSError) as error:
            raise WarehouseError(f"ClickHouse at {self._name}: {_reason(error)}") from error


def _without_password(url: str) -> str:
    """Return a server's `url` without its password.

    Raises:
        WarehouseError: the text is not a URL; it is not shown if it may contain a password.
    """
    shown = "the value of TENSORZERO_CLICKHOUSE_URL or --clickhouse-url" if "@" in url else repr(url)
    wrong = WarehouseError(f"{shown} is not a URL of ClickHouse, such as http://localhost:8123/tensorzero.")
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise wrong
    except ValueError as error:
        raise wrong from error
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _reason(error: Exception) -> str:
    """Return what went wrong, and what to do."""
    text = str(error)
    if "UNKNOWN_TABLE" in text or "UNKNOWN_DATABASE" in text:
        missing = re.search(r"(?:identifier|Table|Database) '?([\w.`]+)'?", text)
        name = missing[1].replace("`", "") if missing else "a table of the gateway's"
        return f"there is no {name}. Is this the database that the gateway writes to, and has the gateway started once?"
    if "timed out" in text.lower():
        return "it did not answer in time. Check its load, or query a smaller window."
    if "DB::Exception: " in text:
        return text.partition("DB::Exception: ")[2].partition(" (for url ")[0][:500]
    refused = re.search(r"\[Errno -?\d+\] ([\w ,]+)", text)
    lines = [refused[1]] if refused else text.splitlines() or [type(error).__name__]
    return f"{lines[0][:500]}. Is `t0dspy up` running, or TENSORZERO_CLICKHOUSE_URL right?"
