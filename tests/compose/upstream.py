"""A model provider in a container, whose reviews are better where an instruction asks for care.

It answers every prompt in ChatAdapter text with the fields that the prompt asks for, and refuses every other key than
the one that keys.env has.
"""

import hashlib
import json
import os
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = os.environ["OPENAI_API_KEY"]


def answer(name: str, system: str, given: dict[str, str], whole: str) -> str:
    """The value of the output field `name`."""
    if name == "proposed_instruction":
        return f"Be CAREFUL. ({hashlib.sha256(whole.encode()).hexdigest()[:6]})"
    spec = re.sub("^(a careful plan|a plan) of ", "", given.get("spec") or given.get("plan") or "")
    lucky = " " in spec.strip() and int(hashlib.sha256(spec.encode()).hexdigest(), 16) % 10 < 4
    careful = "CAREFUL" in system or "careful plan" in given.get("plan", "") or (lucky and len(spec) > 20)
    if name == "plan":
        return f"a careful plan of {spec}" if "CAREFUL" in system else f"a plan of {spec}"
    if name == "review":
        return f"a careful review of {spec}" if careful else "the review"
    return f"the {name}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            self.send(401, {"error": {"message": "wrong key", "type": "invalid_request_error", "code": "401"}})
            return
        system, last = asked["messages"][0]["content"], asked["messages"][-1]["content"]
        before, _, after = last.rpartition("Respond with the corresponding output fields")
        parts = re.split(r"\[\[ ## (\w+) ## \]\]\n", before)
        given = {name: value.strip() for name, value in zip(parts[1::2], parts[2::2], strict=True)}
        names = [name for name in re.findall(r"\[\[ ## (\w+) ## \]\]", after) if name != "completed"]
        said = {name: answer(name, system, given, str(asked["messages"])) for name in names}
        text = "".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in said.items()) + "[[ ## completed ## ]]"
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        head = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
        self.send(200, {**head, "choices": [choice], "usage": usage})

    def send(self, status: int, content: dict[str, object]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


ThreadingHTTPServer(("0.0.0.0", 1234), Handler).serve_forever()
