"""Parse the window of a pull: `30d` until now, or until a time."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from t0dspy.errors import SettingsError

_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_LONGEST = 36525 * 86400


@dataclass(frozen=True)
class Window:
    """A span of time without its end, in milliseconds since 1970, the unit of UUIDv7 ids."""

    since: int
    until: int

    def __str__(self) -> str:
        return f"{rfc3339(self.since)} to {rfc3339(self.until)}"


def window_of(length: str | timedelta, until: datetime) -> Window:
    """Return the window of a `length` (`45m`, `12h`, `30d`, `4w`) that ends at `until`.

    Raises:
        SettingsError: the length is not valid.
    """
    end = _milliseconds(until)
    span = length_of(length) if isinstance(length, str) else length
    return Window(max(end - round(span.total_seconds() * 1000), 0), end)


def length_of(text: str) -> timedelta:
    """Return the length of the window `text`.

    Raises:
        SettingsError: it is not a number of minutes, hours, days or weeks.
    """
    parts = re.fullmatch(r"([0-9]{1,9})([mhdw])", text)
    if parts is None or int(parts[1]) == 0:
        raise SettingsError(f"the window {text!r}: write a number with m, h, d or w, such as 45m, 12h, 30d or 4w.")
    return timedelta(seconds=min(int(parts[1]) * _SECONDS[parts[2]], _LONGEST))


def time_of(text: str) -> datetime:
    """Parse a time, in UTC unless it has another time zone.

    Raises:
        SettingsError: the text is not a time, or ids cannot represent it.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"the time {text!r}: write it as 2026-11-30T12:00:00Z, or 2026-11-30 for midnight."
        ) from error
    return _utc(time)


def rfc3339(milliseconds: int) -> str:
    """Format a time as RFC 3339 in UTC, with milliseconds."""
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{_minute(minutes)}:{rest // 1000:02d}.{rest % 1000:03d}Z"


@lru_cache(maxsize=64)
def _minute(minutes: int) -> str:
    return datetime.fromtimestamp(minutes * 60, UTC).isoformat()[:16]


def timestamp_of(id: str) -> str:
    """Return the time in an inference's id (a UUIDv7) as RFC 3339."""
    return rfc3339(int(id[:8] + id[9:13], 16))


def _milliseconds(time: datetime) -> int:
    """Round up, so that a row that was stored just now is before the end of the window."""
    since_1970 = _utc(time) - datetime(1970, 1, 1, tzinfo=UTC)
    return max(-(-since_1970 // timedelta(milliseconds=1)), 0)


def _utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)
