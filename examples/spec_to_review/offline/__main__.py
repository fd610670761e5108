"""`python -m examples.spec_to_review.offline [--port 8200]` runs the offline model in the foreground."""

import argparse
import socket

import uvicorn

from examples.spec_to_review.offline.server import app


def main() -> None:
    """Listen on localhost, and say where."""
    parser = argparse.ArgumentParser(prog="python -m examples.spec_to_review.offline", description=__doc__)
    parser.add_argument("--port", type=int, default=8200, help="0 for any (default: 8200)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    given = parser.parse_args()
    opened = socket.create_server((given.host, given.port), backlog=512)
    # from its descriptor, so that it knows its protocol: without it asyncio leaves Nagle's algorithm on, for 40 ms
    with socket.socket(fileno=opened.detach()) as door:
        print(f"ready http://{given.host}:{door.getsockname()[1]}/v1", flush=True)
        config = uvicorn.Config(app(), log_level="warning", access_log=False)
        uvicorn.Server(config).run([door])


if __name__ == "__main__":
    main()
