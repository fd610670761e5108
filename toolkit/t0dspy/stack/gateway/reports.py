"""What a child process tells the supervisor: one JSON object a line, over a pipe that nothing else writes to."""

import json
import os
from dataclasses import asdict, dataclass
from typing import Literal

Event = Literal["ready", "failed", "reloaded", "kept", "unloaded", "draining", "cut", "note"]


@dataclass(frozen=True)
class Report:
    """`ready` and `reloaded` carry a config hash, `failed` and `kept` (the old config) a reason.

    `draining` and `cut` carry a count of requests.
    `unloaded` is a load that failed for a reason that is not the config's; `note` is a sentence for people.
    """

    event: Event
    text: str = ""
    began: float = 0.0
    """When the load of a config began that `reloaded` and `kept` tell of, as `time.monotonic` says."""

    def line(self) -> bytes:
        """The report as it is written."""
        return json.dumps(asdict(self)).encode() + b"\n"


def parse_report(line: bytes) -> Report:
    """A report as it was written."""
    return Report(**json.loads(line))


class Reporter:
    """Writes reports to file descriptor `fd`; without one (a part started by hand) to nobody."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd

    def say(self, event: Event, text: str = "", began: float = 0.0) -> None:
        """Send one report; a supervisor that is gone is no reason to fail."""
        if self._fd is None:
            return
        try:
            os.write(self._fd, Report(event, text, began).line())
        except OSError:
            self._fd = None
