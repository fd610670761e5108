"""One inference to ask the gateway for, and its answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]


@dataclass(frozen=True)
class Inference:
    """What the gateway answered."""

    inference_id: str
    episode_id: str
    variant: str
    text: str
    """The model's raw text; read it with DSPy's own parser."""
    usage: tuple[int, int] = (0, 0)
    """Input and output tokens; zero where the gateway answered from its cache."""


@dataclass(frozen=True)
class Call:
    """One inference to ask for."""

    function: str
    messages: Sequence[Message]
    variant: str | None = None
    """Pins the answer to this variant, without fallback."""
    episode: str | None = None
    """The episode it belongs to; None for a new one."""
    tags: Mapping[str, str] = field(default_factory=dict)
    tag_stages_of: Sequence[str] = ()
    """The variants that the program server answers: it puts the tags on its stages too."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """Variant keys such as `temperature` that this call overrides."""
    cache: Mapping[str, Any] | None = None
    """TensorZero's `cache_options`, such as `{"enabled": "on"}`; None for the gateway's own default."""

    def body(self) -> dict[str, Any]:
        """The call as the gateway's `/inference` takes it."""
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
"""The key of a request to the program server that holds the tags for the stages of the run."""


def _stage_tags(variant: str, tags: Mapping[str, str]) -> dict[str, Any]:
    """An entry of TensorZero's `extra_body`: the provider's request holds the tags where `variant` answers."""
    return {"variant_name": variant, "pointer": f"/{STAGE_TAGS}", "value": dict(tags)}


def template_block(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A content block that fills the template `name`."""
    return {"type": "template", "name": name, "arguments": dict(arguments)}


def input_messages(arguments: Mapping[str, Any], demo_turns: int) -> list[Message]:
    """The messages of a call: the version's static demo turns, then the input.

    Args:
        arguments: typed JSON, one for each input field.
        demo_turns: how many pairs of demo turns the version has (0 where demos stand in the system message).
    """
    turns = [
        {"role": role, "content": [template_block(f"demo_{at}_{role}", {})]}
        for at in range(1, demo_turns + 1)
        for role in ("user", "assistant")
    ]
    return [*turns, {"role": "user", "content": [template_block("user", arguments)]}]
