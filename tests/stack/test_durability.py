"""What was acknowledged is there: under load, and after `kill -9` of anything."""

import asyncio
import itertools
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from support.stack import HELLO, Stack, wait_until
from t0dspy.stack.gateway.process import base_path
from t0dspy.stack.gateway.row_watcher import KINDS, ClickHouse, look_up

MANY = int(os.environ.get("T0DSPY_TEST_MANY", "400"))
"""Inferences and feedbacks of the load test; benchmarks/stack.py does 10,000 of each."""


@dataclass
class Acknowledged:
    """Ids that clients were given."""

    inferences: set[str] = field(default_factory=set)
    feedback: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)

    def all_stored(self, stack: Stack) -> None:
        """Fail if a row is missing or is there twice, the model's part of an inference included."""
        for table in ("JsonInference", "BooleanMetricFeedback"):
            assert stack.rows(f"SELECT count() = uniqExact(id) FROM {table}") == [["1"]]
        assert self.inferences <= stack.stored("JsonInference")
        models = {id for (id,) in stack.rows("SELECT toString(inference_id) FROM ModelInference")}
        assert self.inferences <= models
        assert self.feedback <= stack.stored("BooleanMetricFeedback")


def one_round(http: httpx.Client, seen: Acknowledged, number: int) -> None:
    """An inference, streamed or not or by the OpenAI route, and feedback on it; only what is acknowledged counts."""
    id = _inference(http, number % 3)
    if id is None:
        return
    seen.inferences.add(id)
    answer = http.post("/feedback", json={"metric_name": "good", "value": bool(number % 2), "inference_id": id})
    if answer.status_code == 200:
        seen.feedback.add(answer.json()["feedback_id"])
    else:
        seen.refused.append(f"{answer.status_code} {answer.text}")


def _inference(http: httpx.Client, way: int) -> str | None:
    if way == 0:
        answer = http.post("/openai/v1/chat/completions", json={"model": "tensorzero::function_name::qa", **HELLO})
        return str(answer.json()["id"]) if answer.status_code == 200 else None
    answer = http.post("/inference", json={"function_name": "qa", "input": HELLO, "stream": way == 1})
    if answer.status_code != 200 or way == 2:
        return str(answer.json()["inference_id"]) if answer.status_code == 200 else None
    whole = answer.text.endswith("data: [DONE]\n\n") and '"error"' not in answer.text
    return answer.text.split('"inference_id":"')[1].split('"')[0] if whole else None


@pytest.mark.slow
def test_everything_from_32_threads_is_stored(make_stack: Callable[..., Stack]) -> None:
    """Thousands of inferences and feedbacks from 32 threads: every one is acknowledged, every one is stored."""
    stack, seen = make_stack().start(), Acknowledged()

    def client(numbers: range) -> None:
        with httpx.Client(base_url=stack.url, trust_env=False, timeout=60) as http:
            for number in numbers:
                one_round(http, seen, number)

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(client, [range(start, MANY, 32) for start in range(32)]))
    assert seen.refused == []
    assert (len(seen.inferences), len(seen.feedback)) == (MANY, MANY)
    seen.all_stored(stack)
    assert len(stack.stored("JsonInference")) == MANY


@pytest.mark.slow
def test_kill_9_at_random_moments_loses_nothing_acknowledged(make_stack: Callable[..., Stack]) -> None:
    """Ten times under load, `kill -9` of the supervisor, the gateway or ClickHouse: what was acknowledged is there."""
    stack, seen = make_stack(), Acknowledged()
    dice = random.Random(20260613)
    for turn in range(10):
        stack.start()
        victim = {**stack.pids(), "supervisor": stack.process.pid}[("supervisor", "gateway", "clickhouse")[turn % 3]]
        over, before = threading.Event(), len(seen.inferences)
        with ThreadPoolExecutor(8) as pool:
            clients = [pool.submit(_until_over, stack.url, seen, over) for _ in range(8)]
            wait_until(lambda before=before: len(seen.inferences) > before + 5)  # type: ignore[misc]
            time.sleep(dice.uniform(0, 0.6))
            os.kill(victim, signal.SIGKILL)
            over.set()
            for future in clients:
                future.result()
        stack.ended()
    seen.all_stored(stack.start())
    assert len(seen.inferences) > 60


def _until_over(url: str, seen: Acknowledged, over: threading.Event) -> None:
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
        for number in itertools.count():
            try:
                one_round(http, seen, number)
            except httpx.HTTPError:
                return
            if over.is_set():
                return


def test_rows_that_do_not_arrive_are_not_acknowledged(make_stack: Callable[..., Stack]) -> None:
    """When ClickHouse refuses a row, the client hears 503 and not an id, on every interface."""
    stack = make_stack().start()
    id = stack.infer().json()["inference_id"]
    feedback = {"metric_name": "good", "value": True, "inference_id": id}
    chat = {"model": "tensorzero::function_name::qa", **HELLO}
    with ThreadPoolExecutor(4) as pool:
        _drop(stack, "BooleanMetricFeedbackByTargetId")
        waiting = [pool.submit(stack.post, "/feedback", feedback)]
        time.sleep(1)  # by then the gateway has looked up what the feedback is about
        _drop(stack, "InferenceById")
        waiting += [pool.submit(stack.infer), pool.submit(stack.post, "/openai/v1/chat/completions", chat)]
        stream = stack.infer(stream=True)
        answers = [future.result() for future in waiting]
    assert [answer.status_code for answer in answers] == [503, 503, 503]
    assert "did not reach ClickHouse" in answers[0].text
    assert all("Only a part of the inference" in answer.text for answer in [*answers[1:], stream])  # its second row
    assert stream.text.endswith("data: [DONE]\n\n")


def test_rows_that_arrive_by_half_are_not_to_be_sent_again(make_stack: Callable[..., Stack]) -> None:
    """If a part of an inference or of feedback is missing, the client gets 503, and learns that a part is there.

    The part is a view's, or the second row of an inference: its model inference.
    """
    stack = make_stack().start()
    id = stack.infer().json()["inference_id"]
    _drop(stack, "CommentFeedbackByTargetIdView")
    _drop(stack, "JsonInferenceByIdView")
    _drop(stack, "ModelInference")
    comment = {"metric_name": "comment", "value": "fine", "inference_id": id}
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(stack.post, "/feedback", comment), pool.submit(stack.infer)]
        waiting.append(pool.submit(stack.infer, function_name="talk"))
        answers = [future.result() for future in waiting]
    assert [answer.status_code for answer in answers] == [503, 503, 503]
    assert all("would store a second row" in answer.text for answer in answers)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a.toml": ""}, ""),
        ({"a.toml": "[gateway]\nbase_path = '/x/'", "b/c.toml": "gateway.observability.async_writes = false"}, "/x"),
    ],
    ids=["nothing", "in several files"],
)
def test_the_base_path_of_a_config(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    """It may stand in any file."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert base_path(tmp_path) == expected


def _drop(stack: Stack, table: str) -> None:
    url = stack.urls["clickhouse"] + "/?database=tensorzero"
    assert httpx.post(url, content=f"DROP TABLE {table} SYNC", trust_env=False).status_code == 200


def test_stored_rows_are_looked_up_by_key(stack: Stack) -> None:
    """However much is stored: each look-up finds its row by the primary key of what it reads."""
    said = stack.infer().json()
    id, episode = said["inference_id"], said["episode_id"]
    for metric, value in {"good": True, "comment": "fine", "demonstration": {"answer": "43"}}.items():
        assert stack.post("/feedback", {"metric_name": metric, "value": value, "inference_id": id}).status_code == 200
    assert stack.post("/feedback", {"metric_name": "score", "value": 1, "episode_id": episode}).status_code == 200

    async def plan(kind: str) -> str:
        clickhouse = ClickHouse(stack.urls["clickhouse"] + "/tensorzero")
        sql, parameters = look_up(kind, {id: episode if kind == "float" else id})
        try:
            return "\n".join(await clickhouse.column(f"EXPLAIN indexes = 1 {sql}", **parameters))
        finally:
            await clickhouse.close()

    for kind in KINDS:
        text = asyncio.run(plan(kind))
        assert "PrimaryKey" in text, (kind, text)
        assert "Condition: true" not in text, (kind, text)
