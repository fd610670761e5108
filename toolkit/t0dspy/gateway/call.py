"""The request and the answer of an inference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]


@dataclass(frozen=True)
class Inference:
    """The gateway's answer to a call."""

    inference_id: str
    episode_id: str
    variant: str
    text: str
    """The model's raw text, for DSPy's own parser."""
    usage: tuple[int, int] = (0, 0)
    """The numbers of input and output tokens; 0 if the gateway answered from its cache."""


@dataclass(frozen=True)
class Completion:
    """The answer of the gateway's OpenAI route."""

    status: int
    """The HTTP status; the gateway reports each failure of a provider as 502."""
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """The request of an inference."""

    function: str
    messages: Sequence[Message]
    variant: str | None = None
    """Pins the answer to this variant, without fallback."""
    episode: str | None = None
    """The episode of the inference; None for a new one."""
    tags: Mapping[str, str] = field(default_factory=dict)
    tag_stages_of: Sequence[str] = ()
    """The variants that the program server answers; it also sets the tags on the stages of the run."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """Variant keys such as `temperature` that this call overrides."""
    cache: Mapping[str, Any] | None = None
    """TensorZero's `cache_options`, such as `{"enabled": "on"}`; None for the gateway's default."""

    def body(self) -> dict[str, Any]:
        """Return the request body for the gateway's `/inference`."""
        body: dict[str, Any] = {"function_name": self.function, "input": {"messages": list(self.messages)}}
        optional: dict[str, Any] = {
            "variant_name": self.variant,
            "episode_id": self.episode,
            "cache_options": self.cache,
            "tags": dict(self.tags) or None,
        }
        if self.tags and self.tag_stages_of:
            optional["extra_body"] = [_stage_tags(variant, self.tags) for variant in self.tag_stages_of]
        optional["params"] = {"chat_completion": dict(self.sampling)} if self.sampling else None
        return body | {name: value for name, value in optional.items() if value is not None}


STAGE_TAGS = "t0dspy_tags"
"""The key of the stages' tags in a request to the program server."""


def _stage_tags(variant: str, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return an entry of TensorZero's `extra_body` that adds the tags to the provider's request of `variant`."""
    return {"variant_name": variant, "pointer": f"/{STAGE_TAGS}", "value": dict(tags)}


def template_block(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return a content block that fills the template `name` with `arguments`."""
    return {"type": "template", "name": name, "arguments": dict(arguments)}


def input_messages(arguments: Mapping[str, Any], demo_turns: int) -> list[Message]:
    """Return the messages of a call: the version's static demo turns, then the input.

    Args:
        arguments: input field -> JSON value.
        demo_turns: the number of pairs of demo turns of the version (0 if the system message has the demos).
    """
    turns = [
        {"role": role, "content": [template_block(f"demo_{number}_{role}", {})]}
        for number in range(1, demo_turns + 1)
        for role in ("user", "assistant")
    ]
    return [*turns, {"role": "user", "content": [template_block("user", arguments)]}]
