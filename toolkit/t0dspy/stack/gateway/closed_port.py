"""Restrict a TCP port of this process to connections from this process.

The `tensorzero` wheel (2026.6.0) serves its OpenAI-compatible routes on a free port of 127.0.0.1, and has no option for
a Unix socket or a key. Its listening socket belongs to this process, so a socket filter (classic BPF, socket(7)) can
drop all packets from other processes. Each allowed connection uses a source port that is bound exclusively, and the
filter accepts this port only while the connection is being made.
"""

import asyncio
import ctypes
import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import httpcore
import httpx

_LOOPBACK = "127.0.0.1"
_SO_ATTACH_FILTER = 26
_LOAD_WORD, _LOAD_HALF, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x28, 0x15, 0x06  # <linux/bpf_common.h>
_SOURCE_ADDRESS, _SOURCE_PORT = 0xFFF00000 + 12, 0  # in the IP header (SKF_NET_OFF) and the TCP header
_ACCEPT, _DROP = (_RETURN, 0, 0, 0xFFFFFFFF), (_RETURN, 0, 0, 0)

Instruction = tuple[int, int, int, int]


class ClosedPort:
    """A client of the server that listens on `port` in this process. The packets of other processes are dropped.

    If the kernel has no socket filters (macOS), the port stays open to this machine.
    """

    def __init__(self, port: int) -> None:
        """Close `port` to new connections. Call `settle` to cut connections that were made before."""
        self._port, self._lock = port, asyncio.Lock()
        # Workaround (tensorzero 2026.6): the OpenAI-compatible routes listen on a free TCP port, without an option for
        # a Unix socket or a key; remove when the wheel has one.
        self._listener = next(_sockets(port, listening=True), None) if sys.platform == "linux" else None
        try:
            self._filter([_DROP])
        except OSError:  # a kernel without socket filters
            self.close()

    async def settle(self) -> None:
        """Cut the connections that other processes made before the port was closed.

        The server accepts connections in order, so it has accepted all of them when it answers a later one.
        """
        if self._listener is None:
            return
        reader, writer = await self.connect()
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        await reader.read()
        writer.close()
        for stranger in _sockets(self._port, listening=False):
            with stranger, suppress(OSError):
                stranger.shutdown(socket.SHUT_RDWR)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection.

        Raises:
            OSError: the server does not accept it.
        """
        ours = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            ours.setblocking(False)
            ours.bind((_LOOPBACK, 0))  # without SO_REUSEADDR, no other process can send from this port
            async with self._lock:
                self._filter(_from_port(ours.getsockname()[1]))
                try:
                    await asyncio.get_running_loop().sock_connect(ours, (_LOOPBACK, self._port))
                finally:
                    self._filter([_DROP])
            return await asyncio.open_connection(sock=ours)
        except BaseException:
            ours.close()
            raise

    def close(self) -> None:
        """Close the duplicate of the listening socket, so that the server can end."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _filter(self, program: Iterable[Instruction]) -> None:
        if self._listener is None:
            return
        code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
        buffer = ctypes.create_string_buffer(code, len(code))
        self._listener.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(code) // 8, ctypes.addressof(buffer))
        )


def _from_port(port: int) -> list[Instruction]:
    address = int.from_bytes(socket.inet_aton(_LOOPBACK))
    return [
        (_LOAD_WORD, 0, 0, _SOURCE_ADDRESS),
        (_JUMP_IF_EQUAL, 0, 3, address),
        (_LOAD_HALF, 0, 0, _SOURCE_PORT),
        (_JUMP_IF_EQUAL, 0, 1, port),
        _ACCEPT,
        _DROP,
    ]


def _sockets(port: int, *, listening: bool) -> Iterator[socket.socket]:
    """Yield duplicates of this process's TCP sockets that are bound to `port` of the loopback address."""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                continue
            candidate = socket.socket(fileno=os.dup(int(name)))
            if candidate.family == socket.AF_INET and candidate.type == socket.SOCK_STREAM:
                accepts = bool(candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
                if candidate.getsockname() == (_LOOPBACK, port) and accepts == listening:
                    yield candidate
                    continue
            candidate.close()


class ClosedPortTransport(httpx.AsyncHTTPTransport):
    """An HTTP transport over a `ClosedPort`."""

    def __init__(self, port: ClosedPort, keepalive: int) -> None:
        """Make a transport with unlimited connections, of which `keepalive` stay open while they are idle."""
        super().__init__()
        # Workaround (httpx 0.28): a transport accepts no network backend; remove when it accepts one. See
        # encode/httpx#3749.
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=None, max_keepalive_connections=keepalive, network_backend=_Backend(port)
        )


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, port: ClosedPort) -> None:
        self._port = port

    async def connect_tcp(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        try:
            return _Stream(*await self._port.connect())
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return await self._reader.read(max_bytes)
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            self._writer.write(buffer)
            await self._writer.drain()
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        self._writer.close()

    def get_extra_info(self, info: str) -> Any:
        return self._reader.at_eof() if info == "is_readable" else None
