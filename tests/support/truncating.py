"""Store a segment with an engine that truncates a part: `python -m support.truncating DATA`; the segment is in DATA.

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
    """Truncates the part that its first insertion makes behind a view, as a full disk does."""

    is_disk_full = True

    def insert(self, rows: InsertedRows, parameters: Mapping[str, str]) -> Any:
        result = super().insert(rows, parameters)
        if TruncatingConnection.is_disk_full:
            TruncatingConnection.is_disk_full = False
            truncate(Path(json.loads(self.run(_PARTS, "JSONStringsEachRow").bytes().splitlines()[0])["path"]))
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
