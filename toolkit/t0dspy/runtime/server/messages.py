"""The messages between the front process and a worker: JSON objects with a length prefix."""

import json
import socket
import struct
from asyncio import IncompleteReadError, StreamReader
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import Any

_LENGTH = struct.Struct("!I")


@dataclass(frozen=True)
class Order:
    """The request to run a program once."""

    run: str
    """The id of the run, which is also the id of its episode."""
    program: str
    version: str
    arguments: Mapping[str, Any]
    seconds: float
    """Seconds until the run's deadline."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags for the inferences of the run's stages."""

    @property
    def model(self) -> str:
        """Return the model name that the gateway uses: `PROGRAM/VERSION`."""
        return f"{self.program}/{self.version}"


@dataclass(frozen=True)
class Outcome:
    """The result of a run."""

    run: str
    status: int = 200
    text: str = ""
    """The answer, or the error message for the caller if the run failed."""
    kind: str = ""
    """The kind of failure, such as the type of an exception; empty if the run succeeded."""
    stages: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True)
class Offer:
    """The versions of a program that a worker has loaded."""

    seconds: float
    """The deadline of a run, in seconds after its start."""
    versions: Mapping[str, str]
    """Maps a version to the reason why it cannot run; the reason is empty if it can."""
    changed: Mapping[str, str] = field(default_factory=dict)
    """Maps a version to the files whose code changed since the export."""
    traffic: Sequence[str] = ()
    """The versions that have traffic."""


def frame(kind: str, value: Any) -> bytes:
    """Return a message as bytes. `kind` is `order`, `stop`, `offers` or `outcome`."""
    body = value if isinstance(value, dict) else asdict(value)
    data = json.dumps({"kind": kind, "value": body}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return _LENGTH.pack(len(data)) + data


async def read_frame(reader: StreamReader) -> tuple[str, Any] | None:
    """Read the next message; return None if the other side closed the socket."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        return _parsed(await reader.readexactly(length))
    except (IncompleteReadError, OSError):
        return None


class Channel:
    """A worker's end of the socket; any thread may send."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._lock = connection, Lock()

    def send(self, kind: str, value: Any) -> None:
        """Send one message to the front process."""
        data = frame(kind, value)
        with self._lock:
            self._connection.sendall(data)

    def receive(self) -> Iterator[tuple[str, Any]]:
        """Yield the messages of the front process until it closes the socket."""
        with self._connection.makefile("rb") as stream:
            while len(head := stream.read(_LENGTH.size)) == _LENGTH.size:
                (length,) = _LENGTH.unpack(head)
                data = stream.read(length)
                if len(data) < length:
                    return
                yield _parsed(data)


def _parsed(data: bytes) -> tuple[str, Any]:
    message = json.loads(data.decode("utf-8", "surrogatepass"))
    return message["kind"], message["value"]
