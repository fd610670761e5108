"""What the real gateway makes of compiled programs: loaded embedded, asked once, its request to the provider read."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dspy

from support.recorded_gateway import gateway_with_recorder
from t0dspy.artifact import rollout_toml
from t0dspy.artifact.manifest import Manifest
from t0dspy.compiler.arguments import Arguments
from t0dspy.compiler.compile import compile_program
from t0dspy.compiler.next_version import DEADLINES, Origin, next_version
from t0dspy.gateway import Gateway, input_messages
from t0dspy.model import PromptForm
from t0dspy.testing import ScriptedUpstream
from t0dspy.transport.inputs import call_inputs

MODEL = "openai::gpt-4o-mini"
CHAT = PromptForm("chat", "turns")
ORIGIN = Origin(program=None, created="2026-01-02T03:04:05Z", dspy="3.4", t0dspy="0")


def tree_of(program: dspy.Module, form: PromptForm = CHAT, **options: Any) -> tuple[Manifest, dict[str, str]]:
    """The first version of `program`, named `app`: its manifest, and all its files."""
    compiled = compile_program(program, form=form, model=MODEL, **options)
    planned = next_version(compiled, Manifest("app", None, DEADLINES), ORIGIN)
    rollout = rollout_toml.render(None, planned.manifest, {planned.version: 1.0}, "rollout.toml")
    return planned.manifest, {**planned.files, "rollout.toml": rollout}


@dataclass
class Served:
    """One exported version, answered by the gateway."""

    manifest: Manifest
    gateway: Gateway
    recorder: ScriptedUpstream

    def request(self, path: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What reaches the provider when predictor `path` is called with typed JSON `arguments`."""
        entry = self.manifest.versions["v1"].predictors[path]
        self.recorder.requests.clear()
        self.gateway.infer(entry.function, input_messages(arguments, entry.demo_turns), variant="v1")
        return self.recorder.requests[-1].body

    def messages(self, path: str, signature: type[dspy.Signature], inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The messages that reach the provider for `inputs`, Python values as our runtime sends them."""
        text = self.manifest.versions["v1"].predictors[path].texts[0]
        arguments, _ = Arguments(signature, text).render(call_inputs(dspy.Predict(signature), inputs))
        messages: list[dict[str, Any]] = self.request(path, arguments)["messages"]
        return messages


@contextmanager
def served(
    program: dspy.Module, recorder: ScriptedUpstream, form: PromptForm = CHAT, **options: Any
) -> Iterator[Served]:
    """`program` compiled and loaded by the gateway."""
    recorder.script = "{}"
    manifest, files = tree_of(program, form, **options)
    with gateway_with_recorder(files, recorder.url) as gateway:
        yield Served(manifest, gateway, recorder)


def formatted(
    adapter: dspy.Adapter, signature: type[dspy.Signature], demos: Sequence[Any], inputs: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The messages that `adapter` writes."""
    messages: list[dict[str, Any]] = adapter.format(signature, list(demos), dict(inputs))
    return messages


def rendered(cases: Sequence[tuple[str, Mapping[str, Any], dict[str, Any]]], recorder: ScriptedUpstream) -> list[str]:
    """What each template, the content of a file, makes of its arguments, which fit its schema."""
    recorder.script = "ok"
    files, toml = {}, ""
    for at, (template, _, schema) in enumerate(cases):
        files |= {f"t{at}.minijinja": template, f"s{at}.json": json.dumps(schema)}
        toml += f'[functions.f{at}]\ntype = "chat"\nschemas.user.path = "s{at}.json"\n'
        toml += f'[functions.f{at}.variants.v]\ntype = "chat_completion"\nmodel = "{MODEL}"\n'
        toml += f'templates.user.path = "t{at}.minijinja"\n'
    texts = []
    with gateway_with_recorder({**files, "f.toml": toml}, recorder.url) as gateway:
        for at, (_, arguments, _) in enumerate(cases):
            gateway.infer(f"f{at}", input_messages(arguments, 0), variant="v")
            texts.append(recorder.requests[-1].body["messages"][-1]["content"])
    return texts
