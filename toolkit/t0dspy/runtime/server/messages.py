"""What the front and a worker say to each other: JSON objects, each with its length before it."""

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
    """One run to do."""

    run: str
    """The id of the run, which is its episode's."""
    program: str
    version: str
    arguments: Mapping[str, Any]
    seconds: float
    """Until its deadline."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """For the inferences of its stages."""

    @property
    def model(self) -> str:
        """What the gateway calls it."""
        return f"{self.program}/{self.version}"


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    run: str
    status: int = 200
    text: str = ""
    """The answer; where it failed, what a caller is told."""
    kind: str = ""
    """Where it failed, the kind of failure, such as the type of an exception."""
    stages: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True)
class Offer:
    """What a worker can do with a program."""

    seconds: float
    """The deadline of a run."""
    versions: Mapping[str, str]
    """Version -> why it cannot be run; an empty text for one that can."""
    changed: Mapping[str, str] = field(default_factory=dict)
    """Version -> the files whose code is not that of the export."""
    traffic: Sequence[str] = ()
    """The versions that have traffic."""


def frame(kind: str, value: Any) -> bytes:
    """A message as it is sent: an `order`, `stop`, `offers` or `outcome`."""
    body = value if isinstance(value, dict) else asdict(value)
    data = json.dumps({"kind": kind, "value": body}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return _LENGTH.pack(len(data)) + data


async def read_frame(reader: StreamReader) -> tuple[str, Any] | None:
    """The next message; None when the other side is gone."""
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
        """Send one message."""
        data = frame(kind, value)
        with self._lock:
            self._connection.sendall(data)

    def received(self) -> Iterator[tuple[str, Any]]:
        """The messages of the front, until it is gone."""
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
