"""Find the parts of tables that a full disk has truncated, and remove them."""

import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from chdb_http import sql
from chdb_http.connection import Connection
from chdb_http.engine_error import EngineError

log = logging.getLogger("chdb_http")

LOW_BYTES, LOW_INODES = 64 << 20, 1000
"""With less room than this, the engine may have met a full disk."""
LIFETIME = 480
"""Seconds for which the engine keeps the parts that a merge has replaced (`old_parts_lifetime`)."""

_PARTS = (
    "SELECT table, name, max_block_number, dateDiff('second', modification_time, now()) FROM system.parts "
    "WHERE active AND database = {database:String} AND table IN ({tables:Array(String)})"
)
_NO_RESOURCE = ("CANNOT_OPEN_FILE", "MEMORY_LIMIT_EXCEEDED", "CANNOT_SCHEDULE_TASK", "CANNOT_ALLOCATE_MEMORY")


class PartChecker:
    """Checks parts that were written while the disk may have been full.

    A check costs about 0.4 ms per small part, so it is left out while there is room on the disk.
    """

    # Workaround (chdb 4.4): on a full disk an insert or a merge may succeed although it has truncated a part, and the
    # next start detaches that part; remove when an insert or a merge that cannot write a part fails.

    def __init__(self, directory: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Watch the disk of `directory`. `clock` returns seconds."""
        self._directory, self._clock = directory, clock
        self._last_low = -float(LIFETIME)
        self._passed: set[tuple[str, str, str]] = set()
        self._detached: list[str] = []

    def is_needed(self) -> bool:
        """Return whether the disk is nearly full, or was at an earlier call within `LIFETIME`."""
        room = os.statvfs(self._directory)
        inodes_low = room.f_files > 0 and room.f_favail < LOW_INODES
        if room.f_bavail * room.f_frsize < LOW_BYTES or inodes_low:
            self._last_low = self._clock()
        is_needed = self._clock() - self._last_low < LIFETIME
        if not is_needed:
            self._passed.clear()
        return is_needed

    def reload_broken(
        self, connection: Connection, database: str, tables: Iterable[str], before: Mapping[str, int] | None = None
    ) -> list[str]:
        """Reload each table that has a truncated part, so that the engine detaches the part as at a start.

        If the part is the result of a merge, the engine uses the parts that were merged again.

        Args:
            connection: runs the statements.
            database: the database of the tables.
            tables: the tables to check.
            before: the last block of each table before the blocks to check; None for no blocks. In addition, all
                parts that are not older than `LIFETIME` are checked.

        Returns:
            The tables that were reloaded.

        Raises:
            EngineError: the engine cannot check or reload now. A later call finishes what this one began.
        """
        self._attach(connection)
        answer = connection.run(_PARTS, "JSONCompactEachRow", database=database, tables=sql.quoted_texts(tables))
        broken: dict[str, str] = {}
        for table, part, last, age in map(json.loads, answer.bytes().splitlines()):
            if int(age) <= LIFETIME or (before is not None and int(last) > before.get(table, -1)):
                broken |= {} if self._is_whole(connection, database, table, part) else {table: part}
        for table, part in broken.items():
            log.warning("The part %s of %s is truncated, so the table is loaded again.", part, table)
            self._detached.append(_target(database, table))
            connection.run(f"DETACH TABLE {_target(database, table)} SYNC")
            self._attach(connection)
        return list(broken)

    def _attach(self, connection: Connection) -> None:
        while self._detached:  # a former call may have failed between its two statements
            connection.run(f"ATTACH TABLE IF NOT EXISTS {self._detached[-1]}")
            self._detached.pop()

    def _is_whole(self, connection: Connection, database: str, table: str, part: str) -> bool:
        if (database, table, part) in self._passed:
            return True
        check = f"CHECK TABLE {_target(database, table)} PART {sql.quoted_text(part)}"
        answer = connection.run(f"{check} SETTINGS check_query_single_value_result = 0", "JSONCompactEachRow")
        for _, passed, message in map(json.loads, answer.bytes().splitlines()):
            if not passed and any(name in message for name in _NO_RESOURCE):
                raise EngineError("STD_EXCEPTION", message, 1001)
            if not passed:
                return False
        self._passed.add((database, table, part))
        return True


def _target(database: str, table: str) -> str:
    return f"{sql.quoted_name(database)}.{sql.quoted_name(table)}"
