"""What a port does with connections that never finish a request, and with more connections than it can hold.

Uvicorn 0.54 waits without end for the rest of a request and accepts connections until the process has no file
descriptor left. Here a request that is not complete is cut after a silence, and each port holds a limited number.
"""

import asyncio
import resource
from dataclasses import dataclass, field
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

SILENCE = 30.0
"""Seconds without a byte after which a request that is not complete is cut. A slow upload goes on while bytes come."""
HEADER_SECONDS = 60.0
"""Seconds within which the headers of a request must be complete."""
MOST = 4096
"""Connections of a port, where the process may open enough files."""
_MAKES_ROOM = 1.0
"""Seconds of silence after which an unfinished request is cut if the port is full."""
_OTHER_FILES = 64
"""Descriptors that a process needs for everything else."""


def connection_limit(share: int = 3) -> int:
    """Return how many connections a port may hold; each may need `share` descriptors, such as one to a database."""
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
        """Return whether there is room for `connection`; the longest silent unfinished request makes room."""
        if len(self.held) >= self.limit:
            now = connection.loop.time()
            silent = [one for one in self.held if one.is_unfinished and now - one.heard > _MAKES_ROOM]
            if not silent:
                return False
            min(silent, key=lambda one: one.heard).cut("The port is full, and this request was not complete.")
        self.held.add(connection)
        return True


# Workaround (uvicorn 0.54): there is no timeout for an incomplete request and no limit of connections that answers
# instead of failing; remove when uvicorn has both. See Kludex/uvicorn#157.
class _Guarded(H11Protocol):
    """Uvicorn's protocol with a guard; `is_unfinished` while a request has begun and not arrived as a whole."""

    guard: Guard
    heard = 0.0
    _began = 0.0
    _heading = True
    _is_new = True
    _timer: asyncio.TimerHandle | None = None

    @property
    def is_unfinished(self) -> bool:
        """Whether more of a request must come; a connection that is idle between two requests is not unfinished."""
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
        """Answer that the request is not complete, where no answer has begun, and close the connection."""
        self.guard.held.discard(self)
        if self._is_new:  # it never asked for anything, so an answer would be taken for that of its first request
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
            self.cycle.disconnected = True  # what the application still sends goes nowhere
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
