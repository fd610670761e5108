"""Read the request body that DSPy would send to a provider."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from t0dspy.errors import ProgramError

Message = dict[str, Any]

_NOT_CARRIED = frozenset(("model", "messages", "stream", "stream_options"))
"""Keys that the gateway writes itself: the variant names the model, and the transport asks for whole answers."""


@dataclass(frozen=True)
class Body:
    """A body in the form of OpenAI's chat completions."""

    model: str
    messages: list[Message]
    options: Mapping[str, Any]
    """Every other key, such as `temperature`, `response_format` and `tools`."""
    streamed: bool = False

    @property
    def contents(self) -> list[Any]:
        """Return the contents of the messages: strings, or lists of content parts."""
        return [message.get("content") for message in self.messages]


def parse_body(url: str, raw: bytes) -> Body:
    """Return the body of a request to `url`.

    Raises:
        ProgramError: the request is not a chat completion in OpenAI's form.
    """
    if not url.partition("?")[0].endswith("/chat/completions"):
        raise ProgramError(
            "the program calls a model through an API other than OpenAI's chat completions "
            f"({url.partition('?')[0].rpartition('/')[2]}), which the gateway cannot carry unchanged. Use an LM of "
            "model_type 'chat' whose name begins with openai/, and let tensorzero.toml name the provider."
        )
    body = json.loads(raw)
    options = {key: value for key, value in body.items() if key not in _NOT_CARRIED}
    return Body(str(body.get("model")), body["messages"], options, bool(body.get("stream")))
