"""A connection to ClickHouse, and the questions that the runtime asks."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from t0dspy.errors import WarehouseError
from t0dspy.model import Text


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
    """The database that the gateway logs to. Use it as a context manager."""

    def __init__(self, url: str) -> None:
        """`url` names the server and the database, such as `http://localhost:8123/tensorzero`.

        Raises:
            WarehouseError: it is not there, or does not let us in.
        """
        import clickhouse_connect

        parts = urlsplit(url)
        self._name = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))  # without a password
        with self._translated():
            self._client = clickhouse_connect.get_client(dsn=url, autogenerate_session_id=False)

    def __enter__(self) -> "Warehouse":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def inference(self, id: str) -> StoredInference | None:
        """The inference with this id; None when there is none. Raises WarehouseError."""
        rows = self._ask("inference", {"id": id})
        return StoredInference(*rows[0]) if rows else None

    def feedback_is_stored(self, id: str, metric: str, target: str) -> bool:
        """Whether the feedback `id` about `target` is stored. Raises WarehouseError."""
        return bool(self._ask("feedback_stored", {"id": id, "metric": metric, "target": target}))

    def config(self, hash: str) -> str | None:
        """The TOML of the config with this hash, as `/status` spells it, resolved by the gateway that loaded it.

        None when no gateway that logs here has loaded it. Raises WarehouseError.
        """
        rows = self._ask("config", {"hash": hash})
        return str(rows[0][0]) if rows else None

    def _ask(self, question: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        sql = files("t0dspy.warehouse").joinpath(f"{question}.sql").read_text(encoding="utf-8")
        with self._translated():
            rows: Sequence[Sequence[Any]] = self._client.query(sql, parameters=dict(parameters)).result_rows
        return rows

    @contextmanager
    def _translated(self) -> Iterator[None]:
        from clickhouse_connect.driver.exceptions import ClickHouseError

        try:
            yield
        except ClickHouseError as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise WarehouseError(
                f"ClickHouse at {self._name}: {reason}. Is `t0dspy up` running, or TENSORZERO_CLICKHOUSE_URL right?"
            ) from error
