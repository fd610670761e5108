"""Calls of the served program as anybody makes them: with TensorZero's client, and with OpenAI's SDK."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
from openai import OpenAI
from tensorzero import TensorZeroGateway

NAME = "spec_to_review"
AT_ONCE = 4


@dataclass(frozen=True)
class Answered:
    """What the gateway answered to a specification."""

    row: Mapping[str, Any]
    inference_id: str
    episode_id: str
    variant: str
    output: Mapping[str, Any]


Call = Callable[[Mapping[str, Any]], Answered]
Feedback = tuple[str, str, Any]
"""An inference's id, a metric, and its value."""


def with_tensorzero(url: str, version: str | None = None) -> Call:
    """A call with TensorZero's own client; of one version, where that is given."""
    client = TensorZeroGateway.build_http(gateway_url=url, timeout=600)

    def call(row: Mapping[str, Any]) -> Answered:
        said: Any = client.inference(function_name=NAME, input=_input(row), variant_name=version)
        ids = str(said.inference_id), str(said.episode_id)
        return Answered(row, *ids, said.variant_name, said.output.parsed)

    return call


def with_openai(url: str) -> Call:
    """A call with OpenAI's SDK at the gateway's OpenAI route."""
    client = OpenAI(base_url=f"{url}/openai/v1", api_key="none", max_retries=0, timeout=600)

    def call(row: Mapping[str, Any]) -> Answered:
        messages: Any = [_message("tensorzero::template", row)]
        said: Any = client.chat.completions.create(model=f"tensorzero::function_name::{NAME}", messages=messages)
        variant = str(said.model).rpartition("::")[2]
        return Answered(row, said.id, str(said.episode_id), variant, json.loads(said.choices[0].message.content))

    return call


def each(call: Call, rows: Sequence[Mapping[str, Any]], done: Callable[[int], None]) -> list[Answered]:
    """All rows, a few at a time, answers in the rows' order."""
    answers = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for answer in pool.map(call, rows):
            answers.append(answer)
            done(len(answers))
    return answers


def give_feedback(url: str, feedback: Sequence[Feedback], done: Callable[[int], None]) -> None:
    """Send feedback to the gateway, and return when it is stored."""
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client, ThreadPoolExecutor(AT_ONCE) as pool:

        def send(row: Feedback) -> None:
            body = dict(zip(("inference_id", "metric_name", "value"), row, strict=True))
            client.post("/feedback", json=body).raise_for_status()

        for count, _ in enumerate(pool.map(send, feedback), 1):
            done(count)


def _input(row: Mapping[str, Any]) -> Any:
    return {"messages": [_message("template", row)]}


def _message(kind: str, row: Mapping[str, Any]) -> dict[str, Any]:
    block = {"type": kind, "name": "user", "arguments": {"spec": row["spec"]}}
    return {"role": "user", "content": [block]}
