"""chDB on one directory: its connections, and what it says about itself."""

import os
from dataclasses import dataclass
from pathlib import Path

from chdb_http import grants
from chdb_http.batches import Batches
from chdb_http.connection import OPTIONS, Connection, leave_signals_alone
from chdb_http.directory import JOURNAL, TEMPORARY
from chdb_http.failure import EngineError
from chdb_http.journal import Journal
from chdb_http.news import News
from chdb_http.pool import Pool, Sessions
from localkit.shortage import trouble_storing

_DEFAULT = "metadata/default.sql"


@dataclass(frozen=True)
class Format:
    """A format that results can be written in."""

    name: str
    content_type: str


def chdb_path(directory: Path) -> str:
    """Return what chDB calls the database in `directory`, and change the working directory to the one that holds it.

    `grants.write_config` must have written the engine's configuration there.
    """
    # Workaround (chdb 4.4): chDB parses options in its path, so an absolute path with `?` or `&` would change them;
    # remove when options are an argument.
    os.chdir(directory.parent)
    return f"{directory.name}?config-file={grants.ENGINE_CONFIG}&{OPTIONS}"


class Engine:
    """The engine; there is at most one in a process."""

    def __init__(self, directory: Path) -> None:
        """Opens or makes the database in `directory`; EngineError if the engine cannot."""
        leave_signals_alone()
        self._directory, self._path = directory.parent / TEMPORARY, chdb_path(directory)
        (directory / _DEFAULT).unlink(missing_ok=True)
        self._first = self.connect()  # the engine runs for as long as somebody is connected
        self._keep_files_out_of_default()
        self.batches, self.news = Batches(), News()
        self.pool, self.sessions = Pool(self.connect), Sessions(self.connect)
        self.timezone, self.host, self.version = self._lines("SELECT timezone(), hostName(), version()")[0]
        formats = self._lines("SELECT name, content_type FROM system.formats WHERE is_output")
        self._formats = {name.lower(): Format(name, content_type) for name, content_type in formats}
        self.journal = Journal(directory.parent / JOURNAL, self.connect, self.news)

    def connect(self) -> Connection:
        """A connection of the caller's own."""
        return Connection(self._path)

    def format(self, name: str) -> Format:
        """The format called `name`; EngineError if there is none."""
        found = self._formats.get(name.lower())
        if found is None:
            raise EngineError("UNKNOWN_FORMAT", f"Unknown format {name}.")
        return found

    def content_type(self, format: str) -> str:
        """The Content-Type of a result in `format`."""
        known = self._formats.get(format.lower())
        return (known and known.content_type) or "text/plain; charset=UTF-8"

    def kill(self, victim: Connection) -> None:
        """Cancel what `victim` is doing."""
        killer = self.connect()
        try:
            victim.cancel(killer)
        finally:
            killer.close()

    def kill_all(self) -> None:
        """Cancel everything that is being done."""
        self._first.run("KILL QUERY WHERE 1 ASYNC")

    def trouble(self) -> str:
        """Why rows cannot be stored now, such as a full disk; empty when they can."""
        return trouble_storing(self._directory) or self.journal.trouble

    def close(self) -> None:
        """Shut the engine down; nothing may be running."""
        self.journal.close()
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
