"""The embedded gateway without a database, on a free port: `python -m benchmarks.unlogged CONFIGS`."""

import asyncio
import json
import socket
import sys
from typing import Any

import httpx
import tensorzero
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tensorzero import AsyncTensorZeroGateway


async def serve(configs: str) -> None:
    """Print the URL and answer until killed."""
    bound = socket.create_server(("127.0.0.1", 0))
    # from its descriptor, so that it knows its protocol: without it asyncio leaves Nagle's algorithm on, for 40 ms
    bound = socket.socket(fileno=bound.detach())
    app = Starlette(routes=[await _inference(configs), await _openai(configs)])
    print(f"http://127.0.0.1:{bound.getsockname()[1]}", flush=True)
    await uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).serve(sockets=[bound])


async def _inference(configs: str) -> Route:
    build: Any = AsyncTensorZeroGateway.build_embedded
    client = await build(config_file=f"{configs}/**/*.toml", clickhouse_url=None)

    async def inference(request: Request) -> JSONResponse:
        answer = await client.inference(**json.loads(await request.body()))
        blocks = [{"type": "text", "text": block.text} for block in answer.content]
        ids = {"inference_id": str(answer.inference_id), "episode_id": str(answer.episode_id)}
        return JSONResponse({**ids, "variant_name": answer.variant_name, "content": blocks, "usage": {}})

    return Route("/inference", inference, methods=["POST"])


async def _openai(configs: str) -> Route:
    """As the embedded stack does it."""
    start: Any = vars(tensorzero)["_start_http_gateway"]
    databases = dict.fromkeys(("clickhouse_url", "postgres_url", "valkey_url"))
    native = await start(config_file=f"{configs}/**/*.toml", **databases, async_setup=True)
    relay = httpx.AsyncClient(trust_env=False, timeout=60)

    async def openai(request: Request) -> Response:
        url = f"{str(native.base_url).removesuffix('/')}/chat/completions"
        answer = await relay.post(url, content=await request.body(), headers={"content-type": "application/json"})
        return Response(answer.content, answer.status_code, media_type="application/json")

    return Route("/openai/v1/chat/completions", openai, methods=["POST"])


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
