"""Answer a program's requests from a script: find out what each request asks for, and write the answer."""

import hashlib
import json
import random
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback

from localkit.scripted_upstream import RecordedRequest, Reply
from t0dspy.parity.scripts import PROSE, Asked, Kind, arguments_for, scripted_reply


class Questions(BaseCallback):
    """Remembers which signature and adapter wrote each system message; a DSPy callback."""

    def __init__(self, tools: Mapping[str, Mapping[str, Any]]) -> None:
        self.tools = tools
        self.asked: dict[str, Asked] = {}
        """System message -> what it asks for, in the order of the first requests."""
        self._open: dict[str, tuple[dspy.Adapter, Any]] = {}
        self._lock = threading.Lock()

    def on_adapter_format_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Note the adapter and the signature of a prompt."""
        self._open[call_id] = instance, inputs.get("signature")

    def on_adapter_format_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        """Note the system message that they gave."""
        adapter, signature = self._open.pop(call_id)
        if not outputs or signature is None:
            return
        with self._lock:
            again = isinstance(adapter, dspy.JSONAdapter) and any(
                asked.signature.equals(signature) and not isinstance(asked.adapter, dspy.JSONAdapter)
                for asked in self.asked.values()
            )
            self.asked.setdefault(_system(outputs), Asked(signature, adapter, again, self.tools))

    def stages(self) -> list[Any]:
        """Return the different signatures, in the order of their first requests."""
        stages: list[Any] = []
        for question in list(self.asked.values()):
            if not any(stage.equals(question.signature) for stage in stages):
                stages.append(question.signature)
        return stages


class Script:
    """Answers requests with one kind of answer; a function of the request's messages alone.

    Args:
        questions: what the system messages ask for.
        kind: the kind of answer; every request that is not meant gets a good one.
        stage: the index of the signature, in the order of first requests, that gets the kind; None for all.
        seed: selects the values of good answers.
    """

    def __init__(self, questions: Questions, kind: Kind, stage: int | None = None, seed: str = "") -> None:
        self.questions, self.kind, self.stage, self.seed = questions, kind, stage, seed

    def __call__(self, request: RecordedRequest) -> Reply:
        """Return the answer to `request`."""
        messages = request.body.get("messages", [])
        seed = hashlib.sha256(f"{self.seed}{json.dumps(messages, sort_keys=True)}".encode()).hexdigest()
        asked = self.questions.asked.get(_system(messages))
        if asked is None:  # a direct call of an LM, or a prompt that no adapter wrote
            return Reply(f"{PROSE} {seed[:6]}")
        kind = self.kind if self.stage is None or self.stage == self._stage(asked) else "good"
        reply = scripted_reply(kind, asked, seed)
        return _with_tool_call(reply, request.body["tools"], seed) if _may_call(request.body, reply, seed) else reply

    def _stage(self, asked: Asked) -> int:
        stages = self.questions.stages()
        return next(index for index, stage in enumerate(stages) if stage.equals(asked.signature))


def tools_of(program: dspy.Module) -> dict[str, dict[str, Any]]:
    """Return the schemas of the arguments of each tool in an attribute of the program's modules, by name."""
    return {str(tool.name): dict(tool.args or {}) for tool in _tools(program)}


def _tools(program: dspy.Module) -> Iterator[dspy.Tool]:
    for _, module in program.named_sub_modules():
        for value in list(vars(module).values()):
            items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
            yield from (item for item in items if isinstance(item, dspy.Tool))


def _may_call(body: Mapping[str, Any], reply: Reply, seed: str) -> bool:
    return bool(body.get("tools")) and reply.status == 200 and int(seed[:2], 16) % 2 == 0


def _with_tool_call(reply: Reply, tools: list[dict[str, Any]], seed: str) -> Reply:
    chance = random.Random(seed)
    function = chance.choice(tools)["function"]
    arguments = arguments_for(function.get("parameters", {}).get("properties", {}), chance)
    call = {"name": function["name"], "arguments": json.dumps(arguments)}
    calls = [{"id": f"call_{seed[:8]}", "type": "function", "function": call}]
    return Reply(reply.text, message={**reply.message, "tool_calls": calls}, finish_reason="tool_calls")


def _system(messages: Any) -> str:
    """Return the text of the first message, in which DSPy describes the fields."""
    content = messages[0].get("content") if messages else ""
    return content if isinstance(content, str) else "".join(str(part.get("text", "")) for part in content or [])
