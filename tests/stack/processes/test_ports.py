"""What listens is documented, and nothing else can be reached."""

import asyncio
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from support.stack import ANSWER, HELLO, Stack
from t0dspy.stack.gateway.closed_port import ClosedPort, ClosedPortTransport
from t0dspy.testing import RecordedRequest, ScriptedUpstream

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
CONNECT = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=1)"


def tree(pid: int) -> set[int]:
    """A process and all below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    threads = Path(f"/proc/{pid}/task").iterdir()
    children += [one for thread in threads for one in (thread / "children").read_text().split()]
    return {pid}.union(*(tree(int(child)) for child in set(children)))


def listening(pids: set[int]) -> dict[int, str]:
    """Port -> local address in hexadecimal, of every TCP socket on which one of the processes listens."""
    held = {os.readlink(link) for pid in pids for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    tables = [Path(f"/proc/net/{table}").read_text().splitlines()[1:] for table in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table]
    ours = [row[1].split(":") for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in held]
    return {int(port, 16): address for address, port in ours}


def connects(port: int) -> bool:
    """Whether another process of this user gets a connection."""
    return subprocess.run([sys.executable, "-c", CONNECT, str(port)], capture_output=True, check=False).returncode == 0


@ON_LINUX
def test_nothing_listens_that_is_not_documented(stack: Stack) -> None:
    """The three ports that `up` prints; the wheel's own server is on a fourth, to which nobody else can connect."""
    ports = listening(tree(stack.process.pid))
    printed = {int(url.rpartition(":")[2]) for url in stack.urls.values()}
    closed = set(ports) - printed
    assert printed <= set(ports)
    assert len(closed) == 1
    assert set(ports.values()) == {"0100007F"}, "127.0.0.1"
    assert not any(map(connects, closed))
    assert all(map(connects, printed)), "the check itself can tell"
    assert "accepts connections of the gateway's process alone" in Path("docs/stack.md").read_text().replace("\n", " ")


def private_socket(stack: Stack) -> Path:
    """The path of the program server's way to the gateway, which its environment holds."""
    environ = Path(f"/proc/{stack.pids()['programs']}/environ").read_bytes().decode()
    found = re.search(r"T0DSPY_GATEWAY_SOCKET=([^\0]+)", environ)
    assert found
    return Path(found[1])


@ON_LINUX
def test_ways_that_are_not_ports(make_stack: Callable[..., Stack], scripted: ScriptedUpstream) -> None:
    """OpenAI's routes work, many at once too, and each loaded config has a closed port of its own.

    The program server calls the gateway over a Unix socket that is gone after the end.
    """
    with make_stack().start() as running:
        path = private_socket(running)
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert [stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent)] == [0o600, 0o700]
        body = {"model": "tensorzero::function_name::talk", "messages": HELLO["messages"]}
        assert running.post("/openai/v1/chat/completions", body).status_code == 200

        file = running.configs / "tensorzero.toml"
        more = "\n[metrics.more]\ntype = 'boolean'\nlevel = 'inference'\noptimize = 'max'\n"
        file.write_text(file.read_text() + more)
        running.process.send_signal(signal.SIGHUP)
        running.wait_said("serves the new config")
        scripted.script = at_once(20)
        with ThreadPoolExecutor(20) as clients:
            answers = list(clients.map(lambda _: running.post("/openai/v1/chat/completions", body), range(20)))
        assert {answer.status_code for answer in answers} == {200}
        printed = {int(url.rpartition(":")[2]) for url in running.urls.values()}
        assert not any(map(connects, set(listening(tree(running.process.pid))) - printed))
        assert running.stop() == 0
        assert not path.exists()


def at_once(number: int) -> Callable[[RecordedRequest], str]:
    """A script that answers once so many requests are there."""
    barrier = threading.Barrier(number)

    def script(_: RecordedRequest) -> str:
        barrier.wait(60)
        return ANSWER

    return script


class _Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        pass


@ON_LINUX
def test_a_closed_port_cuts_who_was_there_before() -> None:
    """A connection that was made before the port was closed ends; ours go on, and others get none."""

    async def use(port: int) -> None:
        door = ClosedPort(port)
        await door.settle()
        url = f"http://127.0.0.1:{port}/"
        async with httpx.AsyncClient(transport=ClosedPortTransport(door, 8)) as http:
            answers = await asyncio.gather(*(http.get(url) for _ in range(5)))
            assert {answer.text for answer in answers} == {"hello"}
            assert not await asyncio.to_thread(connects, port)
        door.close()

    with ThreadingHTTPServer(("127.0.0.1", 0), _Hello) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        early = socket.create_connection(server.server_address[:2], timeout=5)
        assert connects(server.server_address[1])
        asyncio.run(use(server.server_address[1]))
        with early:
            assert early.recv(10) == b""
        server.shutdown()
