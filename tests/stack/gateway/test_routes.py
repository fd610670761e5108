"""Every route, asked well and badly: TensorZero's shapes, status codes and error bodies."""

import gzip
import json
from typing import Any
from uuid import UUID

import httpx
import pytest
import zstandard

from support.stack import ANSWER, HELLO, OUTPUT_SCHEMA, Stack
from t0dspy.testing import ScriptedUpstream


def test_an_inference_has_the_gateways_own_shape(stack: Stack) -> None:
    """`/inference` answers what TensorZero's JSON function answers, key for key, and its row is there at once."""
    answer = stack.infer(tags={"who": "me"})
    body = answer.json()
    assert answer.status_code == 200
    assert list(body) == ["inference_id", "episode_id", "variant_name", "output", "usage", "finish_reason"]
    assert body["output"] == {"raw": ANSWER, "parsed": {"answer": "42"}}
    assert body["usage"] == {"input_tokens": 1, "output_tokens": 1, "cost": None}
    assert answer.headers["x-tensorzero-gateway-version"] == "2026.6.0"
    assert body["inference_id"] in stack.stored("JsonInference")


def test_a_chat_function_answers_content_blocks(stack: Stack) -> None:
    """A chat function's answer has content blocks and lands in the chat table."""
    body = stack.infer(function_name="talk").json()
    assert body["content"] == [{"type": "text", "text": ANSWER}]
    assert body["inference_id"] in stack.stored("ChatInference")


def test_a_stream_is_server_sent_events(stack: Stack) -> None:
    """A streamed inference is `data:` events of chunks, the usage last, then `[DONE]`; then its row is stored."""
    answer = stack.infer(stream=True)
    *chunks, done = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    parsed = [json.loads(chunk) for chunk in chunks]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert done == "[DONE]"
    assert "".join(chunk["raw"] for chunk in parsed) == ANSWER
    assert parsed[-1]["finish_reason"] == "stop"
    assert parsed[0]["inference_id"] in stack.stored("JsonInference")


def test_a_dry_run_leaves_no_row(stack: Stack) -> None:
    """`dryrun` answers without waiting for a row that never comes."""
    body = stack.infer(dryrun=True).json()
    assert body["inference_id"] not in stack.stored("JsonInference")


BAD_INFERENCES: list[tuple[dict[str, Any], int, str]] = [
    ({"function_name": "nope"}, 404, "Unknown function: nope"),
    ({"variant_name": "nope"}, 404, "Unknown variant: nope"),
    ({"function_name": None}, 400, "Either `function_name` or `model_name` must be provided"),
    ({"surprise": 1}, 400, "unknown field `surprise`"),
    ({"gateway_http_headers": {"a": "b"}}, 400, "unknown field `gateway_http_headers`"),
    ({"input": {"messages": [{"role": "king", "content": "x"}]}}, 400, "messages[0].role: unknown variant `king`"),
    ({"input": []}, 400, "input"),
    ({"function_name": 7}, 400, "function_name"),
    ({"episode_id": "x"}, 400, "episode_id"),
    ({"tags": {"tensorzero::x": "y"}}, 400, "tensorzero::"),
    ({"params": {"nope": {}}}, 400, "unknown field `nope`"),
    ({"namespace": ""}, 400, "amespace"),
    ({"additional_tools": [{"type": "openai_custom", "name": "x"}]}, 501, "function tools only"),
]


@pytest.mark.parametrize(("change", "status", "words"), BAD_INFERENCES, ids=lambda value: str(value)[:40])
def test_a_bad_inference_is_refused_in_the_gateways_words(
    stack: Stack, change: dict[str, Any], status: int, words: str
) -> None:
    """What is wrong with a request is said as TensorZero says it: its status, and one key `error`."""
    answer = stack.infer(**change)
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]


@pytest.mark.parametrize("path", ["/inference", "/feedback", "/v1/inferences/list_inferences"])
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"x"', b"null", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000, b"1" * 5000],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_not_a_json_object_is_refused(stack: Stack, path: str, body: bytes) -> None:
    """Garbage is a 400 with a sentence, never a 500."""
    answer = httpx.post(stack.url + path, content=body, trust_env=False)
    assert answer.status_code == 400
    assert isinstance(answer.json()["error"], str)


def test_feedback_of_every_kind_is_stored_before_it_is_answered(stack: Stack) -> None:
    """Boolean, float, comment and demonstration: the answer names a row that is there."""
    inference = stack.infer().json()
    by_inference, by_episode = {"inference_id": inference["inference_id"]}, {"episode_id": inference["episode_id"]}
    for table, body in {
        "BooleanMetricFeedback": {"metric_name": "good", "value": True, **by_inference},
        "FloatMetricFeedback": {"metric_name": "score", "value": 0.5, **by_episode},
        "CommentFeedback": {"metric_name": "comment", "value": "it's \\ fine\t", **by_episode},
        "DemonstrationFeedback": {"metric_name": "demonstration", "value": {"answer": "43"}, **by_inference},
    }.items():
        answer = stack.post("/feedback", body)
        assert answer.status_code == 200, answer.text
        assert list(answer.json()) == ["feedback_id"]
        assert answer.json()["feedback_id"] in stack.stored(table)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"metric_name": "nope", "value": True}, 404, "nope"),
        ({"metric_name": "good", "value": "yes"}, 400, ""),
        ({"metric_name": "good"}, 400, "missing field `value`"),
        ({"value": True}, 400, "missing field `metric_name`"),
        ({"metric_name": "good", "value": True, "episode_id": "EPISODE", "inference_id": "INFERENCE"}, 400, "Both"),
        ({"metric_name": "demonstration", "value": {"wrong": 1}}, 400, "answer"),
        ({"metric_name": "score", "value": 1e308, "episode_id": "EPISODE"}, 400, "`value` must be a finite number"),
        ({"metric_name": "score", "value": -(10**60), "episode_id": "EPISODE"}, 400, "`value` must be a finite number"),
        ({"metric_name": "good", "value": True, "x": 1}, 400, "unknown field `x`, expected one of `episode_id`"),
        ({"metric_name": "good", "value": True, "inference_id": "' OR 1=1 --"}, 400, "inference_id"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_bad_feedback_is_refused(stack: Stack, body: dict[str, Any], status: int, words: str) -> None:
    """Feedback that TensorZero does not take is refused with its status and words."""
    inference = stack.infer().json()
    names = {"EPISODE": inference["episode_id"], "INFERENCE": inference["inference_id"]}
    whole = {"inference_id": "INFERENCE", **body}
    answer = stack.post(
        "/feedback", {key: names.get(value, value) if isinstance(value, str) else value for key, value in whole.items()}
    )
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]


def test_feedback_takes_ids_in_any_spelling(stack: Stack) -> None:
    """An id without hyphens is the same id."""
    id = stack.infer().json()["inference_id"]
    assert (
        stack.post("/feedback", {"metric_name": "good", "value": True, "inference_id": UUID(id).hex}).status_code == 200
    )


def test_inferences_can_be_listed_and_fetched(stack: Stack) -> None:
    """Both reading routes give whole inferences, newest first, in TensorZero's shape."""
    ids = [stack.infer(tags={"listed": "yes"}).json()["inference_id"] for _ in range(3)]
    tagged = {"type": "tag", "key": "listed", "value": "yes", "comparison_operator": "="}
    listed = stack.post("/v1/inferences/list_inferences", {"function_name": "qa", "filters": tagged}).json()
    assert [row["inference_id"] for row in listed["inferences"]] == ids[::-1]
    fetched = stack.post("/v1/inferences/get_inferences", {"ids": ids[:1]}).json()["inferences"]
    assert fetched[0]["output_schema"] == OUTPUT_SCHEMA
    assert fetched[0]["input"] == {"messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]}
    assert stack.post("/v1/inferences/get_inferences", {"ids": []}).json() == {"inferences": []}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("list_inferences", {"function_name": "nope"}, 404),
        ("list_inferences", {"limit": "many"}, 400),
        ("list_inferences", {"before": str(UUID(int=1)), "after": str(UUID(int=2))}, 400),
        ("get_inferences", {}, 400),
        ("get_inferences", {"ids": ["x"]}, 400),
        ("get_inferences", {"ids": [], "output_source": "nowhere"}, 400),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_bad_listings_are_refused(stack: Stack, path: str, body: dict[str, Any], status: int) -> None:
    """A listing that cannot be is refused with a sentence."""
    answer = stack.post(f"/v1/inferences/{path}", body)
    assert answer.status_code == status, answer.text
    assert isinstance(answer.json()["error"], str)


def test_status_names_the_config_that_rows_carry(stack: Stack) -> None:
    """`config_hash` in `/status` is the hash that the gateway stores with every row."""
    id = stack.infer().json()["inference_id"]
    [[stored]] = stack.rows(f"SELECT toString(snapshot_hash) FROM JsonInference WHERE id = '{id}'")
    assert stack.status() == {"status": "ok", "version": "2026.6.0", "config_hash": stored}


def test_health_looks_at_the_stores(stack: Stack) -> None:
    """`/health` has a word on each store."""
    answer = httpx.get(stack.url + "/health", trust_env=False)
    assert answer.status_code == 200
    assert answer.json() == dict.fromkeys(["gateway", "clickhouse", "postgres", "valkey", "valkey_cache"], "ok")


def test_other_routes_answer_501_with_a_sentence(stack: Stack) -> None:
    """What TensorZero serves and this stack does not is said so."""
    for method, path in [
        ("POST", "/batch_inference"),
        ("GET", "/metrics"),
        ("GET", "/"),
        ("GET", "/%2e%2e/etc/passwd"),
    ]:
        answer = httpx.request(method, stack.url + path, trust_env=False)
        assert answer.status_code == 501
        assert "does not serve" in answer.json()["error"]
    assert httpx.get(stack.url + "/inference", trust_env=False).status_code == 405


def test_openai_routes_are_the_wheels_own(stack: Stack) -> None:
    """Errors of the OpenAI routes have OpenAI's shape, since the gateway itself writes them."""
    path = "/openai/v1/chat/completions"
    assert stack.post(path, {"model": "tensorzero::function_name::qa"}).json() == {
        "error": {"message": "missing field `messages`"}
    }
    answer = stack.post(path, {"model": "tensorzero::function_name::nope", "messages": HELLO["messages"]})
    assert answer.status_code == 404
    assert stack.post("/openai/v1/embeddings", {"model": "nope", "input": "x"}).status_code >= 400


@pytest.mark.parametrize(("encoding", "squeeze"), [("gzip", gzip.compress), ("zstd", zstandard.compress)])
def test_compressed_requests_are_read(stack: Stack, encoding: str, squeeze: Any) -> None:
    """Bodies may come compressed, as the gateway allows; a wrong label is refused."""
    body = json.dumps({"function_name": "qa", "input": HELLO}).encode()
    headers = {"content-encoding": encoding}
    assert (
        httpx.post(stack.url + "/inference", content=squeeze(body), headers=headers, trust_env=False).status_code == 200
    )
    assert httpx.post(stack.url + "/inference", content=body, headers=headers, trust_env=False).status_code == 400
    headers = {"content-encoding": "br"}
    assert httpx.post(stack.url + "/inference", content=body, headers=headers, trust_env=False).status_code == 415


def test_a_decompression_bomb_is_refused(stack: Stack) -> None:
    """A small body that would unpack to more than the limit is refused, not unpacked."""
    bomb = gzip.compress(b" " * (101 * 1024 * 1024), compresslevel=9)
    answer = httpx.post(stack.url + "/inference", content=bomb, headers={"content-encoding": "gzip"}, trust_env=False)
    assert answer.status_code == 400
    assert "limit" in answer.json()["error"]


def test_the_model_sees_what_the_config_says(stack: Stack, scripted: ScriptedUpstream) -> None:
    """The provider gets the system template and the user's text, at the address given for this run."""
    stack.infer()
    assert scripted.requests[-1].body["messages"] == [
        {"role": "system", "content": "Answer in JSON."},
        {"role": "user", "content": "hello"},
    ]
