"""Reports of a child process to the supervisor: one JSON object per line, over a pipe of their own."""

import json
import os
from dataclasses import asdict, dataclass
from typing import Literal

Event = Literal["ready", "failed", "reloaded", "kept", "unloaded", "draining", "cut", "note"]


@dataclass(frozen=True)
class Report:
    """A report; the meaning of its text depends on the event.

    The text is a config hash for `ready` and `reloaded`; a reason for `failed`, for `kept` (the config was refused, and
    the old one stays) and for `unloaded` (the load failed for another reason); a number of requests for `draining` and
    `cut`; and a sentence for people for `note`.
    """

    event: Event
    text: str = ""
    began: float = 0.0
    """The `time.monotonic` at which the load began, for `reloaded`, `kept` and `unloaded`."""

    def line(self) -> bytes:
        """Return the report as a line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"


def parse_report(line: bytes) -> Report:
    """Parse a line that `Report.line` returned."""
    return Report(**json.loads(line))


class Reporter:
    """Writes reports to file descriptor `fd`; if it is None, as for a part started by hand, reports are dropped."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd

    def write(self, event: Event, text: str = "", began: float = 0.0) -> None:
        """Write one report; do nothing if the supervisor is gone."""
        if self._fd is None:
            return
        try:
            os.write(self._fd, Report(event, text, began).line())
        except OSError:
            self._fd = None
