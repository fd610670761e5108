"""Acknowledged rows that are not stored: those that the engine refuses for good, and damaged parts of log files."""

import uuid
from pathlib import Path

from chdb_http.records import encode
from chdb_http.segment import Batch, Segment
from localkit.atomic import replace_file

_REFUSED, _DAMAGED, _OLD = "refused/*.log", "damaged/*.bytes", ("*.refused", "*.torn")


def keep_refused(segment: Segment, batch: Batch) -> Path:
    """Keep an insertion that the engine refuses, and return its file. Keeping it again changes nothing.

    The file is a segment with an id of its own, so that `restore` only has to move it.
    """
    id = uuid.uuid5(segment.id, batch.key)
    path = segment.path.parent / _REFUSED.replace("*", f"{segment.number:012}-{id.hex}")
    _write(path, encode(id.bytes, batch.entry.target, batch.entry.rows))
    return path


def keep_damaged(segment: Segment) -> None:
    """Keep the damaged parts of a segment."""
    for position, data in segment.damaged.items():
        _write(segment.path.parent / _DAMAGED.replace("*", f"{segment.path.stem}-{position}"), data)


def restore(directory: Path) -> None:
    """Move all refused insertions back to the log in `directory`."""
    for path in directory.glob(_REFUSED):
        path.rename(directory / path.name)


def report(directory: Path) -> list[str]:
    """Return a sentence about each kind of rows that are set aside in `directory`."""
    refused, damaged = list(directory.glob(_REFUSED)), list(directory.glob(_DAMAGED))
    old = sorted(path for pattern in _OLD for path in directory.glob(pattern))
    places = {
        f"Acknowledged rows that ClickHouse refused are in {directory / 'refused'} (insertions: {len(refused)}). Start "
        "with --restore-rows to store them.": refused,
        f"Damaged parts of the write-ahead log are in {directory / 'damaged'} (files: {len(damaged)}). Their rows are "
        "not stored. Delete the files when you no longer need them.": damaged,
        f"An earlier version set rows aside, which are not stored: {', '.join(map(str, old))}. Insert them with a "
        "ClickHouse client, or delete the files.": old,
    }
    return [sentence for sentence, paths in places.items() if paths]


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    replace_file(path, data)
