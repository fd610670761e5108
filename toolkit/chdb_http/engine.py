"""The engine on one directory, its connections and its properties."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chdb_http import engine_config
from chdb_http.connection import OPTIONS, Connection, leave_signals_alone
from chdb_http.data_directory import JOURNAL, TEMPORARY
from chdb_http.engine_error import EngineError
from chdb_http.pool import Pool, Sessions
from chdb_http.row_events import RowEvents
from chdb_http.write_log import WriteLog
from localkit.shortage import trouble_storing

_DEFAULT = "metadata/default.sql"


@dataclass(frozen=True)
class Format:
    """A format of results."""

    name: str
    content_type: str


def chdb_path(directory: Path) -> str:
    """Return chDB's path of the database in `directory`, and make the parent directory the working directory.

    `engine_config.write_config` must have written the engine's configuration there.
    """
    # Workaround (chdb 4.4): chDB parses options in its path, so an absolute path with `?` or `&` would change them;
    # remove when options are an argument.
    os.chdir(directory.parent)
    return f"{directory.name}?config-file={engine_config.ENGINE_CONFIG}&{OPTIONS}"


class Engine:
    """The engine; there is at most one in a process."""

    def __init__(self, directory: Path, early_tables: Mapping[str, str], *, restore_rows: bool = False) -> None:
        """Open or make the database in `directory`. Raises EngineError if the engine cannot.

        `early_tables` are the tables whose rows are acknowledged once they are in the write-ahead log, each with the
        column that names a row in the row events. With `restore_rows`, rows that were set aside are stored again.
        """
        leave_signals_alone()
        self._directory, self._path = directory.parent / TEMPORARY, chdb_path(directory)
        (directory / _DEFAULT).unlink(missing_ok=True)
        self._first = self.connect()  # the engine runs as long as a connection is open
        self._keep_files_out_of_default()
        self.row_events = RowEvents(early_tables)
        self.pool, self.sessions = Pool(self.connect), Sessions(self.connect)
        self.timezone, self.host, self.version = self._lines("SELECT timezone(), hostName(), version()")[0]
        formats = self._lines("SELECT name, content_type FROM system.formats WHERE is_output")
        self._formats = {name.lower(): Format(name, content_type) for name, content_type in formats}
        path, names = directory.parent / JOURNAL, tuple(early_tables)
        self.write_log = WriteLog(path, self.connect, self.row_events, names, restore=restore_rows)

    def connect(self) -> Connection:
        """Return a new connection, which the caller must close."""
        return Connection(self._path)

    def format(self, name: str) -> Format:
        """Return the format `name`. Raises EngineError if there is none."""
        known = self._formats.get(name.lower())
        if known is None:
            raise EngineError("UNKNOWN_FORMAT", f"Unknown format {name}.")
        return known

    def content_type(self, format: str) -> str:
        """Return the Content-Type of a result in `format`."""
        known = self._formats.get(format.lower())
        return (known and known.content_type) or "text/plain; charset=UTF-8"

    def kill(self, victim: Connection) -> None:
        """Cancel the query of `victim`."""
        killer = self.connect()
        try:
            victim.cancel(killer)
        finally:
            killer.close()

    def kill_all(self) -> None:
        """Cancel all queries."""
        self._first.run("KILL QUERY WHERE 1 ASYNC")

    def trouble(self) -> str:
        """Return why rows cannot be stored now, such as a full disk; empty if they can."""
        return trouble_storing(self._directory) or self.write_log.trouble

    def close(self) -> None:
        """Shut the engine down. No query may be running."""
        self.write_log.close()
        self.pool.forget()
        self.sessions.close()
        self._first.close()

    def _keep_files_out_of_default(self) -> None:
        """Make `default` an ordinary database.

        chDB 4.4 makes it one that looks for an unknown table among the files of the working directory, so that every
        unknown name, of a new table too, is refused for lack of the right to read files. Its tables are those of an
        Atomic database with the same UUID. chDB does not expect `_DEFAULT`, which ATTACH writes.
        """
        ((uuid, kind),) = self._lines("SELECT uuid, engine FROM system.databases WHERE name = 'default'")
        # Workaround (chdb 4.4): the database `default` looks for an unknown table among the files of the working
        # directory; remove when it is an ordinary database.
        if kind == "Overlay":
            self._first.run("DETACH DATABASE default")
            self._first.run(f"ATTACH DATABASE default UUID '{uuid}' ENGINE = Atomic")

    def _lines(self, statement: str) -> list[list[str]]:
        return [line.split("\t") for line in self._first.run(statement).bytes().decode().splitlines()]
