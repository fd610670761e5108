"""Compare what a client other than our runtime makes the gateway send with what DSPy sends."""

from collections.abc import Mapping
from typing import Any

import jsonschema_rs

from localkit.scripted_upstream import ScriptedUpstream
from t0dspy.artifact.text_values import is_text_value, to_plain
from t0dspy.compiler.schema import input_schema
from t0dspy.gateway import HttpGateway, input_messages
from t0dspy.parity import wire
from t0dspy.parity.generate import without_defaults
from t0dspy.parity.inputs import Given
from t0dspy.parity.report import JSON_FALLBACK, KEY_ORDER, RESPONSE_FORMAT, Mismatch, PredictorReport
from t0dspy.transport.prompt import ServedPredictor

_SPELLED = {"max_tokens": "max_completion_tokens", "stop_sequences": "stop"}
"""A variant's name of a sampling setting -> its name in a request, where they differ."""


EVERY = 4
"""One of so many generated inputs is sent by a plain client too; our runtime uses the same templates for all."""


class PlainClient:
    """A client that sends typed arguments to the variant of a version, without any option."""

    def __init__(
        self,
        predictor: ServedPredictor,
        version: str,
        gateway: HttpGateway,
        recorder: ScriptedUpstream,
        report: PredictorReport,
    ) -> None:
        """Take what the client calls, and the report to which results are added."""
        self._predictor, self._version, self._gateway, self._recorder = predictor, version, gateway, recorder
        self._report = report
        self._seen = 0
        self._schema = input_schema(predictor.signature) if predictor.signature is not None else {}
        self._validator = jsonschema_rs.Draft202012Validator(self._schema)
        self._sent = 0

    def wants(self, given: Given) -> bool:
        """Return whether these inputs are compared: demos, examples, and some of the generated ones."""
        self._seen += given.source == "generated"
        return given.source in ("demo", "example") or (given.source == "generated" and self._seen % EVERY == 0)

    def compare(self, inputs: Mapping[str, Any], filled: Mapping[str, Any], direct: Mapping[str, Any]) -> None:
        """Send `inputs` and compare with the body that DSPy sends; add the result to the report.

        A value that does not fit its type cannot be sent, because the gateway answers 400. Every second request omits
        default values in objects, as clients in other languages do.

        Args:
            inputs: the inputs of the call.
            filled: the same with the defaults that DSPy fills in, which the template fills in for clients.
            direct: the body.
        """
        report = self._report
        if not all(isinstance(message["content"], str) for message in direct["messages"]):
            return  # DSPy makes parts of text that looks like its marker of custom types; real text does not
        typed, _ = self._predictor.prompts[0].arguments.render(filled)
        if len(self._predictor.prompts) > 1:
            report.unlike_plain.setdefault(JSON_FALLBACK, 0)
        if any(map(is_text_value, typed.values())):
            report.unlike_plain[KEY_ORDER] += self._is_only_reordered(typed)
            return
        typed = {name: value for name, value in typed.items() if name in inputs}
        self._sent += 1
        arguments = without_defaults(self._schema, typed) if self._sent % 2 else typed
        self._recorder.requests.clear()
        completion = self._gateway.complete(
            {
                "model": f"tensorzero::function_name::{self._predictor.entry.function}",
                "tensorzero::variant_name": self._version,
                "messages": _messages(arguments, self._predictor.entry.demo_turns),
            }
        )
        if completion.status != 200:
            report.mismatches.append(Mismatch("refused", dict(arguments), str(completion.body)))
            return
        report.plain_requests += 1
        self._compare(arguments, direct, self._recorder.requests[-1].body)

    def _compare(self, arguments: dict[str, Any], direct: Mapping[str, Any], served: Mapping[str, Any]) -> None:
        report = self._report
        sampling = {_SPELLED.get(key, key) for key in self._predictor.entry.sampling}
        given, sent = wire.normal(direct), wire.normal(served)
        for key in sorted(given.keys() - sent.keys() - sampling - {"response_format"}):
            report.unlike_plain[f"the option {key!r} of its LM, which no variant can have"] += 1
            del given[key]
        if not wire.same_format(given, sent):
            report.unlike_plain[RESPONSE_FORMAT] += 1
            given.pop("response_format", None)
            sent.pop("response_format", None)
        if not wire.equal(given, sent):
            report.mismatches.append(Mismatch("plain request", arguments, wire.difference(given, sent)))

    def _is_only_reordered(self, arguments: Mapping[str, Any]) -> bool:
        """Return whether all values fit their types, so that only the order of keys in free objects differs."""
        return bool(self._validator.is_valid(to_plain(arguments)))


def _messages(arguments: Mapping[str, Any], demo_turns: int) -> list[dict[str, Any]]:
    """Return the messages of a call in the form of the gateway's OpenAI route."""
    messages = input_messages(arguments, demo_turns)
    return [
        {**message, "content": [{**block, "type": f"tensorzero::{block['type']}"} for block in message["content"]]}
        for message in messages
    ]
