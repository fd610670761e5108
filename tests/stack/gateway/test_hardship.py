"""What goes wrong around a gateway: providers that fail, clients that leave, hostile input."""

import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from support.stack import ANSWER, HELLO, Stack, wait_until
from t0dspy.testing import Reply, ScriptedUpstream

COMPLETIONS = "/openai/v1/chat/completions"


@pytest.mark.parametrize(
    "reply",
    [
        Reply("no", status=500),
        Reply("slow down", status=429),
        Reply(raw=b"<html>garbage"),
        Reply(raw=b'{"id": "x", "choices": [{"mess'),
        Reply(raw=b""),
        Reply(hang_up=True),
    ],
    ids=["500", "429", "garbage", "cut-off", "empty", "hang-up"],
)
def test_a_provider_that_fails_is_a_502(stack: Stack, scripted: ScriptedUpstream, reply: Reply) -> None:
    """Whatever the provider does, the client gets TensorZero's 502 on both interfaces, and the next call works."""
    scripted.script = reply
    for path, body in {
        "/inference": {"function_name": "qa", "input": HELLO},
        COMPLETIONS: {"model": "tensorzero::function_name::qa", **HELLO},
    }.items():
        answer = stack.post(path, body)
        assert answer.status_code == 502, answer.text
        assert "All variants failed" in str(answer.json()["error"])
    scripted.script = ANSWER
    assert stack.infer().status_code == 200


def test_output_that_is_no_json_is_answered_unparsed(stack: Stack, scripted: ScriptedUpstream) -> None:
    """Text that breaks the schema is 200 with `parsed: null`, as TensorZero has it."""
    scripted.script = "I'd rather not."
    assert stack.infer().json()["output"] == {"raw": "I'd rather not.", "parsed": None}


def test_a_stream_that_breaks_says_so(stack: Stack, scripted: ScriptedUpstream) -> None:
    """A provider that fails before a stream is an error status; garbage in the middle of one is an error event."""
    scripted.script = Reply("no", status=500)
    assert stack.infer(stream=True).status_code == 502
    good = b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
    head = good + b'{"role":"assistant","content":"{"},"finish_reason":null}]}\n\n'
    scripted.script = Reply(raw=head + b'data: {"id":"x","choi\n\n', headers={"Content-Type": "text/event-stream"})
    events = [line for line in stack.infer(stream=True).text.split("\n\n") if line]
    assert any("error" in json.loads(event.removeprefix("data: ")) for event in events[:-1])
    assert events[-1] == "data: [DONE]"


def test_inputs_of_five_megabytes(stack: Stack, scripted: ScriptedUpstream) -> None:
    """A large input arrives whole at the provider and in the row, on both interfaces."""
    text = "é" * (5 * 1024 * 1024 // 2)
    large = {"messages": [{"role": "user", "content": text}]}
    answer = stack.infer(input=large)
    assert answer.status_code == 200
    assert scripted.requests[-1].body["messages"][-1]["content"] == text
    [[length]] = stack.rows(f"SELECT length(input) FROM JsonInference WHERE id = '{answer.json()['inference_id']}'")
    assert int(length) > len(text.encode())
    assert stack.post(COMPLETIONS, {"model": "tensorzero::function_name::qa", **large}).status_code == 200


def test_a_body_beyond_the_limit_is_refused(stack: Stack) -> None:
    """More than the gateway's 100 MiB is refused with a sentence."""
    pieces = (b" " * (1 << 20) for _ in range(101))
    answer = httpx.post(stack.url + "/inference", content=pieces, trust_env=False, timeout=60)
    assert answer.status_code == 400
    assert "length limit exceeded" in answer.json()["error"]


def _leave(stack: Stack, path: str, body: dict[str, Any], read: int) -> None:
    """Send a request, read a little of the answer, and hang up."""
    url, data = urlsplit(stack.url), json.dumps(body).encode()
    with socket.create_connection((url.hostname or "", url.port or 0)) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        if read:
            connection.recv(read)
        else:
            time.sleep(0.1)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/inference", {"function_name": "qa", "input": HELLO}),
        ("/inference", {"function_name": "qa", "input": HELLO, "stream": True}),
        (COMPLETIONS, {"model": "tensorzero::function_name::qa", **HELLO}),
        (COMPLETIONS, {"model": "tensorzero::function_name::qa", "stream": True, **HELLO}),
    ],
    ids=["plain", "stream", "openai", "openai-stream"],
)
def test_a_client_that_leaves_changes_nothing(
    stack: Stack, scripted: ScriptedUpstream, path: str, body: dict[str, Any]
) -> None:
    """An inference that was begun is finished and stored, whether its client waits for it or not."""
    scripted.script = Reply(ANSWER * 3000, delay=0.3)
    before = stack.stored("JsonInference")
    _leave(stack, path, body, read=10 if body.get("stream") else 0)
    wait_until(lambda: len(stack.stored("JsonInference") - before) == 1, 10)


def test_half_a_request_is_forgotten(stack: Stack) -> None:
    """A client that leaves in the middle of its request disturbs nobody."""
    url = urlsplit(stack.url)
    for cut in (
        b"POST /inf",
        b"POST /inference HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
        b"\x16\x03\x01\x00",
    ):
        with socket.create_connection((url.hostname or "", url.port or 0)) as connection:
            connection.sendall(cut)
    assert stack.infer().status_code == 200


HOSTILE = [
    "'; DROP TABLE JsonInference; --",
    "\\'; SELECT sleep(3); --",
    "{{ 7 * 7 }}{% raw %}",
    "\x00\x01\x1b[31m",
    "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
    "line\r\nSet-Cookie: a=b\r\n\r\n",
    "🎉" * 100,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_values_are_values(stack: Stack, scripted: ScriptedUpstream, text: str) -> None:
    """SQL, templates and control characters in values reach the provider and the tables as they are."""
    input = {"messages": [{"role": "user", "content": text}]}
    inference = stack.infer(input=input, tags={text: text}).json()
    assert scripted.requests[-1].body["messages"][-1]["content"] == text
    body = {"metric_name": "comment", "value": text, "inference_id": inference["inference_id"], "tags": {"t": text}}
    assert stack.post("/feedback", body).status_code == 200
    [found] = stack.post("/v1/inferences/get_inferences", {"ids": [inference["inference_id"]]}).json()["inferences"]
    assert found["tags"] == {text: text}
    assert found["input"]["messages"][0]["content"][0]["text"] == text


def test_a_lone_surrogate_is_refused(stack: Stack) -> None:
    """Text that is no Unicode is a 400."""
    body = b'{"function_name":"qa","input":{"messages":[{"role":"user","content":"\\ud800"}]}}'
    assert httpx.post(stack.url + "/inference", content=body, trust_env=False).status_code == 400


def test_names_in_requests_are_only_names(stack: Stack) -> None:
    """Hostile function and metric names are unknown names, nothing more."""
    for text in HOSTILE:
        assert stack.infer(function_name=text).status_code == 404
        assert stack.post("/v1/inferences/list_inferences", {"function_name": text}).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        b"Authorization: Bearer ' OR 1=1\r\n",
        b"X-A: " + b"a" * 30_000 + b"\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        b"Host: a\r\nHost: b\r\n",
        b"X: \xff\xfe\r\n",
        b"Content-Encoding: gzip, br\r\n",
        b"Expect: 100-continue\r\n",
    ],
    ids=lambda value: repr(value)[:30],
)
@pytest.mark.parametrize("path", [b"/inference", b"/../../etc/passwd", b"/inference?x='%00", b"//x", b"/\xff"])
def test_hostile_headers_and_paths_are_answered(stack: Stack, headers: bytes, path: bytes) -> None:
    """Odd headers and paths are no 500 (501 for a path that is not served), and nobody else is disturbed."""
    url = urlsplit(stack.url)
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=10) as connection:
        connection.sendall(b"POST " + path + b" HTTP/1.1\r\n" + headers + b"\r\n")
        connection.shutdown(socket.SHUT_WR)
        first = connection.recv(4096).split(b"\r\n")[0]
    status = int(first.split()[1]) if first else 0
    assert status < 500 or status == 501, first
    assert httpx.get(stack.url + "/status", trust_env=False).status_code == 200


def test_clients_do_not_wait_for_each_other(stack: Stack, scripted: ScriptedUpstream) -> None:
    """Forty inferences of a second each, at once, take far less than forty seconds."""
    scripted.script = Reply(ANSWER, delay=1)
    started = time.monotonic()
    with ThreadPoolExecutor(40) as pool:
        assert {answer.status_code for answer in pool.map(lambda _: stack.infer(), range(40))} == {200}
    assert time.monotonic() - started < 25


def test_answers_wait_for_their_rows_under_async_writes(make_stack: Callable[..., Stack]) -> None:
    """A config that writes in the background still acknowledges only what is stored."""
    stack = make_stack(async_writes=True).start()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: stack.infer().json()["inference_id"], range(40)))
    assert set(answers) <= stack.stored("JsonInference")
