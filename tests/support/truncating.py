"""Store the segment in DATA with an engine that truncates a part: `python -m support.truncating DATA PART`.

PART is `new` for a part of the first insertion, which succeeds, or `old` for an earlier part; then the insertion fails.
Prints what each attempt did, and how many rows each table has.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chdb_http import early_tables
from chdb_http.connection import Connection
from chdb_http.data_directory import ENGINE, JOURNAL
from chdb_http.early_tables import EarlyTable
from chdb_http.engine import chdb_path
from chdb_http.engine_config import write_config
from chdb_http.engine_error import EngineError
from chdb_http.part_checker import PartChecker
from chdb_http.replay import store
from chdb_http.segment import Segment
from chdb_http.sql import InsertedRows
from t0dspy.stack.gateway.row_watcher import EARLY_TABLES

_COUNT = "SELECT count() FROM tensorzero."
_PARTS = "SELECT path FROM system.parts WHERE active AND table = 'InferenceById' ORDER BY min_block_number DESC"


class TruncatingConnection(Connection):
    """Truncates the newest part behind a view at its first insertion, as a full disk does."""

    is_disk_full = True

    def insert(self, rows: InsertedRows, parameters: Mapping[str, str]) -> Any:
        is_disk_full, TruncatingConnection.is_disk_full = TruncatingConnection.is_disk_full, False
        is_old = is_disk_full and sys.argv[2] == "old"
        result = None if is_old else super().insert(rows, parameters)
        if is_disk_full:
            truncate(Path(json.loads(self.run(_PARTS, "JSONStringsEachRow").bytes().splitlines()[0])["path"]))
        if is_old:
            raise EngineError("NOT_ENOUGH_SPACE", "no space", 243)
        return result


def truncate(part: Path) -> None:
    """End the files of a part too early."""
    for file in part.iterdir():
        os.truncate(file, min(20, file.stat().st_size))


def main() -> None:
    data = Path(sys.argv[1]).resolve()
    write_config(data / ENGINE)
    path = chdb_path(data / ENGINE)
    first = Connection(path)  # the engine runs as long as a connection is open

    def describe(database: str, name: str) -> EarlyTable | None:
        return early_tables.describe(first, database, name, list(EARLY_TABLES))

    (log,) = (data / JOURNAL).glob("*.log")
    segment = Segment(log)
    for is_restart in (False, False, True):
        segment = Segment(log) if is_restart else segment
        try:
            store(segment, lambda: TruncatingConnection(path), describe, list(EARLY_TABLES), PartChecker(data))
            print("stored")
        except EngineError as failure:
            print(failure.name)
    for table in ("ChatInference", "InferenceById", "InferenceTag"):
        print(table, first.run(_COUNT + table).bytes().decode().strip())
    first.close()


if __name__ == "__main__":
    main()
