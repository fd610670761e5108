"""Limit the connections of a port, and close those that never finish a request.

Uvicorn 0.54 waits for the rest of a request without a time limit, and it accepts connections until the process has no
file descriptor left. This guard closes a connection whose incomplete request pauses too long, and it limits the number
of connections.
"""

import asyncio
import resource
from dataclasses import dataclass, field
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

SILENCE = 30.0
"""The longest pause in an incomplete request, in seconds; a slow upload may continue as long as bytes arrive."""
HEADER_SECONDS = 60.0
"""The time limit for the headers of a request, in seconds."""
MOST = 4096
"""The maximum number of connections of a port, if the process may open enough files."""
_MAKES_ROOM = 1.0
"""The longest pause in an incomplete request if the port is full, in seconds."""
_OTHER_FILES = 64
"""The number of descriptors that a process needs for other files."""


def connection_limit(share: int = 3) -> int:
    """Return the connection limit of a port whose connections need up to `share` descriptors each."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST
    return max(8, min(MOST, (soft - _OTHER_FILES) // share))


@dataclass
class Guard:
    """The connections of one port."""

    limit: int = field(default_factory=connection_limit)
    silence: float = SILENCE
    header_seconds: float = HEADER_SECONDS
    held: "set[_Guarded]" = field(default_factory=set)

    def protocol(self) -> type[asyncio.Protocol]:
        """Return the protocol class for `uvicorn.Config(http=...)`."""
        return type("Guarded", (_Guarded,), {"guard": self})

    def admit(self, connection: "_Guarded") -> bool:
        """Return whether there is room for `connection`, after closing a paused incomplete request if needed."""
        if len(self.held) >= self.limit:
            now = connection.loop.time()
            paused = [held for held in self.held if held.is_unfinished and now - held.heard > _MAKES_ROOM]
            if not paused:
                return False
            min(paused, key=lambda held: held.heard).cut("The port is full, and this request was not complete.")
        self.held.add(connection)
        return True


# Workaround (uvicorn 0.54): there is no timeout for an incomplete request and no limit of connections that answers
# instead of failing; remove when uvicorn has both. See Kludex/uvicorn#157.
class _Guarded(H11Protocol):
    """Uvicorn's protocol with a guard; `is_unfinished` is True while a request is incomplete."""

    guard: Guard
    heard = 0.0
    _began = 0.0
    _heading = True
    _is_new = True
    _timer: asyncio.TimerHandle | None = None

    @property
    def is_unfinished(self) -> bool:
        """Return whether a request is incomplete; a connection that is idle between requests is not unfinished."""
        if self._heading:
            return True
        return self.conn.their_state is h11.SEND_BODY and not self.flow.read_paused

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.heard = self._began = self.loop.time()
        if not self.guard.admit(self):
            self._refuse(503, b"Service Unavailable", f"This port holds {self.guard.limit} connections; try again.")
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self.heard, self._is_new, before = self.loop.time(), False, self.cycle
        if not self._heading and (before is None or before.response_complete):
            self._heading, self._began = True, self.heard
        super().data_received(data)
        if self.cycle is not before:
            self._heading = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.guard.held.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def cut(self, reason: str) -> None:
        """Close the connection, after the answer that the request is incomplete if no answer has started."""
        self.guard.held.discard(self)
        if self._is_new:  # without a request, the client would read an answer as that to its next request
            self.transport.close()
        else:
            self._refuse(408, b"Request Timeout", reason)

    def _refuse(self, status: int, phrase: bytes, reason: str) -> None:
        if self.cycle is None or self._heading or not self.cycle.response_started:
            body = reason.encode() + b"\n"
            head = b"HTTP/1.1 %d %b\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n" % (
                status,
                phrase,
            )
            self.transport.write(head + b"retry-after: 1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        if self.cycle is not None:
            self.cycle.disconnected = True  # discards what the application still sends
            self.cycle.message_event.set()
        self.transport.close()

    def _watch(self) -> None:
        guard, now = self.guard, self.loop.time()
        if self.transport.is_closing():
            return
        if self.is_unfinished:
            late = self._heading and now - self._began >= guard.header_seconds
            if late or now - self.heard >= guard.silence:
                self.cut(f"The request was not complete after {guard.silence:g} s without a byte.")
                return
        self._timer = self.loop.call_later(max(guard.silence - (now - self.heard), guard.silence / 10), self._watch)
