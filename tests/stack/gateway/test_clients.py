"""The clients people have, unchanged, against the stack."""

import asyncio
from typing import Any

import openai
import pytest
from tensorzero import (
    AsyncTensorZeroGateway,
    ChatInferenceResponse,
    JsonInferenceResponse,
    ListInferencesRequest,
    TensorZeroError,
    TensorZeroGateway,
)

from support.stack import ANSWER, HELLO, Stack

QA = "tensorzero::function_name::qa"
MESSAGES: Any = HELLO["messages"]


def test_the_official_client_works_unchanged(stack: Stack) -> None:
    """`TensorZeroGateway.build_http`: inference, streaming, feedback, listing, errors."""
    with TensorZeroGateway.build_http(gateway_url=stack.url) as client:
        answer = client.inference(function_name="qa", input=HELLO, tags={"client": "sync"})
        assert isinstance(answer, JsonInferenceResponse)
        assert answer.output.parsed == {"answer": "42"}
        chunks: Any = list(client.inference(function_name="qa", input=HELLO, stream=True))
        assert "".join(chunk.raw for chunk in chunks) == ANSWER
        assert chunks[-1].usage is not None
        id = client.feedback(metric_name="good", value=True, inference_id=answer.inference_id).feedback_id
        assert str(id) in stack.stored("BooleanMetricFeedback")
        [found] = client.get_inferences(ids=[answer.inference_id]).inferences
        assert found.tags == {"client": "sync"}
        assert client.list_inferences(request=ListInferencesRequest(function_name="qa", limit=2)).inferences
        with pytest.raises(TensorZeroError) as refused:
            client.inference(function_name="nope", input=HELLO)
        assert refused.value.status_code == 404


def test_the_async_twin_works_unchanged(stack: Stack) -> None:
    """`AsyncTensorZeroGateway.build_http`, many at once."""

    async def main() -> None:
        client: Any = await AsyncTensorZeroGateway.build_http(gateway_url=stack.url)  # type: ignore[misc]
        answers = await asyncio.gather(*(client.inference(function_name="talk", input=HELLO) for _ in range(20)))
        assert all(isinstance(answer, ChatInferenceResponse) for answer in answers)
        assert len({answer.inference_id for answer in answers}) == 20
        stream = await client.inference(function_name="talk", input=HELLO, stream=True)
        text = "".join([block.text async for chunk in stream for block in chunk.content])
        assert text == ANSWER
        listed = await client.list_inferences(request=ListInferencesRequest(function_name="talk", limit=3))
        assert len(listed.inferences) == 3
        feedback = await client.feedback(metric_name="comment", value="good", inference_id=answers[0].inference_id)
        assert str(feedback.feedback_id) in stack.stored("CommentFeedback")
        await client.close()

    asyncio.run(main())


def test_the_openai_sdk_works_unchanged(stack: Stack) -> None:
    """The OpenAI SDK: completions, streams, errors; its answers are stored before it has them."""
    with openai.OpenAI(base_url=f"{stack.url}/openai/v1", api_key="any", max_retries=0) as client:
        answer = client.chat.completions.create(model=QA, messages=MESSAGES)
        assert answer.choices[0].message.content == ANSWER
        assert answer.id in stack.stored("JsonInference")
        stream = client.chat.completions.create(model=QA, messages=MESSAGES, stream=True)
        chunks = list(stream)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == ANSWER
        assert chunks[0].id in stack.stored("JsonInference")
        dry: Any = {"tensorzero::dryrun": True}
        assert client.chat.completions.create(model=QA, messages=MESSAGES, extra_body=dry).id not in stack.stored(
            "JsonInference"
        )
        with pytest.raises(openai.NotFoundError, match="Unknown function"):
            client.chat.completions.create(model="tensorzero::function_name::nope", messages=MESSAGES)


def test_the_async_openai_sdk_works_unchanged(stack: Stack) -> None:
    """The asynchronous OpenAI SDK, many at once."""

    async def main() -> None:
        async with openai.AsyncOpenAI(base_url=f"{stack.url}/openai/v1", api_key="any", max_retries=0) as client:
            answers = await asyncio.gather(
                *(client.chat.completions.create(model=QA, messages=MESSAGES) for _ in range(20))
            )
        assert len({answer.id for answer in answers}) == 20

    asyncio.run(main())
