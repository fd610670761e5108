"""Generate answers as models return them: clean, fenced, with extra keys, repairable, wrong, empty."""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dspy

from t0dspy.compiler.schema import output_schema
from t0dspy.model import Text
from t0dspy.parity.generate import Generator, NoFittingValue

SignatureType = type[dspy.Signature]


def answers_for(signature: SignatureType, text: Text, seed: str, count: int = 6) -> Iterator[str]:
    """Yield raw answers to replay for a predictor with `signature` under the adapter text `text`.

    Args:
        signature: the predictor's signature.
        text: the format in which a model has to answer.
        seed: the seed of the generator; the same seed gives the same answers.
        count: the number of different contents; each yields several malformed answers too.
    """
    generator = Generator(output_schema(signature)[0], random.Random(seed))
    yield from ("", "I cannot help with that.", "{", "[]", "null", "[[ ## completed ## ]]")
    for _ in range(count):
        try:
            values = {name: generator.value(generator.property(name)) for name in signature.output_fields}
        except NoFittingValue:
            return
        yield from _ANSWERS[text](values)


def _json_answers(values: dict[str, Any]) -> Iterator[str]:
    clean = json.dumps(values, ensure_ascii=False)
    yield clean
    yield json.dumps(values, indent=2)
    yield f"```json\n{clean}\n```"
    yield f"Here you are:\n{clean}\nAnything else?"
    yield json.dumps({"unasked": [1, {"x": None}], **values})
    yield clean.replace('"', "'")
    yield clean[:-1] + ",}"
    yield clean[: len(clean) // 2]
    for name in values:
        yield json.dumps({**values, name: {"wrong": "type"}})
        yield json.dumps({**values, name: None})
        yield json.dumps({key: value for key, value in values.items() if key != name})


def _xml_answers(values: dict[str, Any]) -> Iterator[str]:
    blocks = {name: f"<{name}>\n{_plain(value)}\n</{name}>" for name, value in values.items()}
    clean = "\n\n".join(blocks.values())
    yield clean
    yield f"Sure.\n\n{clean}\n\nDone."
    yield f"```xml\n{clean}\n```"
    yield "\n".join(reversed(blocks.values()))
    yield clean.replace("\n", "")
    yield clean[: len(clean) // 2]
    for name in values:
        yield clean.replace(blocks[name], f"<{name}><item>1</item><item>two</item></{name}>")
        yield clean.replace(blocks[name], f"<{name}>\n&lt;b&gt; &amp; x\n</{name}>")
        yield clean.replace(f"</{name}>", "")
        yield "\n\n".join(block for key, block in blocks.items() if key != name)


def _chat_answers(values: dict[str, Any]) -> Iterator[str]:
    blocks = {name: f"[[ ## {name} ## ]]\n{_plain(value)}" for name, value in values.items()}
    clean = "\n\n".join(blocks.values()) + "\n\n[[ ## completed ## ]]\n"
    yield clean
    yield clean.removesuffix("\n\n[[ ## completed ## ]]\n")
    yield f"Sure.\n\n{clean}\n\nDone."
    yield clean.replace("\n", "\r\n")
    yield "\n\n".join(reversed(blocks.values()))
    yield clean[: len(clean) // 2]
    for name, value in values.items():
        yield clean.replace(blocks[name], f"[[ ## {name} ## ]] {_plain(value)}")
        yield clean.replace(blocks[name], f"[[ ## {name} ## ]]\n```json\n{_plain(value)}\n```")
        yield clean.replace(blocks[name], f"[[ ## {name} ## ]]\n{{'wrong': type}}")
        yield "\n\n".join(block for key, block in blocks.items() if key != name)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_ANSWERS: Mapping[Text, Callable[[dict[str, Any]], Iterator[str]]] = {
    "chat": _chat_answers,
    "json": _json_answers,
    "xml": _xml_answers,
}
