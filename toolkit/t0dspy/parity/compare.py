"""Compare DSPy with the gateway that has loaded the exported config, input by input."""

import json
import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, cast

import dspy
import jsonschema
import pydantic
from dspy.utils.exceptions import AdapterParseError

from localkit.scripted_upstream import ScriptedUpstream
from t0dspy.artifact.manifest import PredictorEntry, VersionEntry
from t0dspy.compiler import adapters
from t0dspy.compiler.introspect import lm_of, signature_of
from t0dspy.compiler.sampling import CONNECTION_KEYS, VARIANT_KEYS
from t0dspy.compiler.schema import has_default, input_schema, is_untyped
from t0dspy.errors import GatewayError
from t0dspy.gateway import Gateway, Inference, input_messages
from t0dspy.model import PromptForm, Schema
from t0dspy.parity import wire
from t0dspy.parity.answers import answers_for
from t0dspy.parity.generate import Generator, NoFittingValue, without_defaults
from t0dspy.parity.report import (
    CUSTOM_TYPE_MARKER,
    DEMO_TURNS,
    KEY_ORDER,
    Mismatch,
    ParityReport,
    PredictorReport,
)
from t0dspy.parity.sandbox import MODEL_NAME, gateway_with_recorder

INPUTS = 200
"""The number of generated inputs per predictor, in addition to extreme values, demos and examples."""

ENOUGH = 5
"""The number of mismatches of a predictor after which its other inputs are skipped."""

Inputs = dict[str, Any]
Read = dict[str, str] | str | None
"""A parsed answer: field -> repr of its value, or the error as text, or None if the answer cannot be parsed."""


class NothingSentError(Exception):
    """DSPy sends no request for an input."""


@dataclass(frozen=True)
class Subject:
    """A predictor, both live in DSPy and exported."""

    path: str
    predict: dspy.Predict
    settings: Mapping[str, Any]
    """The settings of its LM in DSPy."""
    entry: PredictorEntry

    @property
    def signature(self) -> type[dspy.Signature]:
        """Return the current signature of the predictor."""
        return signature_of(self.predict)


def subjects_of(program: dspy.Module, version: VersionEntry, *, recorded: bool) -> list[Subject]:
    """Return the predictors of `program` for a comparison with `version`.

    Args:
        program: the live program, with its optimized state loaded.
        version: the exported version.
        recorded: whether to take the LM settings from the version instead of the LM that is configured now.
    """
    subjects = []
    for path, predict in program.named_predictors():
        entry = version.predictors[path]
        if recorded:
            spelled = {variant: name for name, variant in VARIANT_KEYS.items() if name != "max_completion_tokens"}
            settings = {spelled[key]: value for key, value in entry.sampling.items()}
        else:
            kwargs = getattr(lm_of(predict), "kwargs", {})
            settings = {k: v for k, v in kwargs.items() if k not in CONNECTION_KEYS and v is not None}
        subjects.append(Subject(path, predict, settings, entry))
    return subjects


def compare(
    version: str,
    form: PromptForm,
    subjects: Sequence[Subject],
    files: Mapping[str, str],
    *,
    examples: Sequence[Inputs] = (),
    inputs: int = INPUTS,
    progress: Callable[[str, int], None] = lambda path, count: None,
) -> ParityReport:
    """Send each input both ways and compare the requests; replay answers and compare the parsed values.

    Args:
        version: the version under test.
        form: its prompt form.
        subjects: its predictors.
        files: the program's files, path -> text.
        examples: additional inputs, flat objects of fields; a predictor gets those that have its fields.
        inputs: the number of generated inputs per predictor.
        progress: called with a predictor's path and the number of compared inputs.

    Returns:
        The report on all predictors.

    Raises:
        GatewayError: if TensorZero rejects the config.
    """
    reports = []
    with ScriptedUpstream() as recorder, gateway_with_recorder(files, recorder.url) as gateway, _quiet_dspy():
        for subject in subjects:
            pair = _Pair(version, form, subject, gateway, recorder)
            for count, arguments in enumerate(pair.inputs(examples, inputs), 1):
                pair.compare_request(arguments)
                progress(subject.path, count)
                if len(pair.report.mismatches) >= ENOUGH:
                    break
            pair.compare_answers()
            reports.append(pair.report)
    return ParityReport(version, reports)


class _Pair:
    """Send the inputs of a predictor through DSPy and through the gateway."""

    def __init__(
        self, version: str, form: PromptForm, subject: Subject, gateway: Gateway, recorder: ScriptedUpstream
    ) -> None:
        self.version, self.subject, self.gateway, self.recorder = version, subject, gateway, recorder
        self.form = form
        self.adapter = cast("dspy.ChatAdapter", adapters.served_adapter(form))
        self.stock = cast("dspy.ChatAdapter", adapters.stock_adapter(form))
        self.schema: Schema = input_schema(subject.signature)
        self.validator = jsonschema.Draft202012Validator(self.schema)
        self.accepted: Inputs | None = None
        """The first inputs that DSPy and the gateway sent."""
        self.types: dict[str, pydantic.TypeAdapter[Any]] = {}
        self.report = PredictorReport(subject.path, subject.entry.function)
        settings: dict[str, Any] = {"api_base": recorder.url, "api_key": "none", **subject.settings}
        self.lm = dspy.LM(f"openai/{MODEL_NAME}", cache=False, num_retries=0, engine="lm15", **settings)

    def inputs(self, examples: Sequence[Inputs], count: int) -> Iterator[Inputs]:
        """Yield the demos and examples, then the extreme values of each field, then generated inputs."""
        fields = self.subject.signature.input_fields
        for source, given in (("demo", self.subject.predict.demos), ("example", examples)):
            for example in given:
                inputs = {name: example[name] for name in fields if name in example}
                reason = self._misfit_reason(inputs)
                if reason:
                    self.report.skipped[f"{source}: {reason}"] += 1
                else:
                    yield inputs
        generator = Generator(self.schema, random.Random(self.subject.entry.function))
        try:
            for arguments in generator.edges():
                yield from self._fitting_inputs(arguments)
            for _ in range(count):
                yield from self._fitting_inputs(generator.arguments())
        except NoFittingValue as why:
            self.report.skipped[f"generated: {why}"] += 1

    def compare_request(self, inputs: Inputs) -> None:
        """Send `inputs` both ways and compare the bodies.

        Every second request to the gateway omits default values in objects, as clients in other languages do.
        """
        arguments = adapters.json_arguments(self.subject.signature, inputs)
        if self.report.requests % 2:
            arguments = without_defaults(self.schema, arguments)
        self.recorder.script = "{}"
        try:
            direct, _ = self._call_dspy(inputs)
        except NothingSentError as why:
            self.report.skipped[str(why)] += 1
            return
        self.recorder.requests.clear()
        try:
            self._call_gateway(arguments)
        except GatewayError as error:
            self.report.mismatches.append(Mismatch("refused", arguments, str(error)))
            return
        served = self.recorder.requests[-1].body
        self.report.requests += 1
        self.accepted = self.accepted or inputs
        if not wire.equal(direct, served):
            self.report.mismatches.append(Mismatch("request", arguments, wire.difference(direct, served)))
        self._compare_with_stock(inputs, direct["messages"])

    def compare_answers(self) -> None:
        """Replay answers both ways and compare the parsed values."""
        signature = self.subject.signature
        if self.accepted is None:
            return
        inputs, arguments = self.accepted, adapters.json_arguments(signature, self.accepted)
        for text in answers_for(signature, self.form.adapter, self.subject.entry.function):
            self.recorder.script = text
            _, direct = self._call_dspy(inputs)
            served = self._read(self._call_gateway(arguments).text)
            self.report.answers += 1
            if direct != served:
                self.report.mismatches.append(
                    Mismatch("answer", arguments, f"answer {text!r}\nDSPy reads  {direct}\nserved reads {served}")
                )

    def _misfit_reason(self, inputs: Inputs) -> str:
        arguments = adapters.json_arguments(self.subject.signature, inputs)
        if not _is_unicode(arguments):
            return "contains half a surrogate pair, which no provider can receive"
        error = jsonschema.exceptions.best_match(self.validator.iter_errors(_as_sent(arguments)))
        if error is None:
            return ""
        location = "/".join(map(str, error.absolute_path))
        return f"{location + ': ' if location else ''}{error.message[:200]}"

    def _fitting_inputs(self, arguments: Inputs) -> Iterator[Inputs]:
        """Yield `arguments` as the Python values that a program passes, if they fit the schema."""
        inputs = {name: self._to_python(name, value) for name, value in arguments.items()}
        if self._misfit_reason(inputs):
            self.report.skipped["generated: does not fit the schema"] += 1
        else:
            yield inputs

    def _to_python(self, name: str, value: Any) -> Any:
        info = self.subject.signature.input_fields[name]
        if is_untyped(info):
            return value
        if name not in self.types:
            annotation = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
            self.types[name] = pydantic.TypeAdapter(cast("Any", annotation))
        try:
            return self.types[name].validate_python(value, by_alias=True, by_name=True)
        except (ValueError, TypeError):
            return value

    def _call_dspy(self, inputs: Inputs) -> tuple[dict[str, Any], Read]:
        """Return the request body that DSPy sends for `inputs`, and the parsed answer.

        Raises:
            NothingSentError: if DSPy fails before it sends a request.
        """
        self.recorder.requests.clear()
        with dspy.context(lm=self.lm, adapter=self.adapter):
            predict = self.subject.predict.reset_copy()
            predict.demos, predict.lm = self.subject.predict.demos, self.lm
            # connection settings would bypass the recorder
            predict.config = {key: value for key, value in predict.config.items() if key not in CONNECTION_KEYS}
            read = self._outputs(lambda: predict(**inputs))
        if not self.recorder.requests:
            raise NothingSentError(f"DSPy sends nothing: {read}")
        return self.recorder.requests[-1].body, read

    def _call_gateway(self, arguments: Inputs) -> Inference:
        messages = input_messages(arguments, self.subject.entry.demo_turns)
        return self.gateway.infer(self.subject.entry.function, messages, variant=self.version)

    def _read(self, text: str) -> Read:
        """Parse `text` with DSPy's own adapter; "" counts as no answer, even if no output is required."""
        if not text:
            return None
        return self._outputs(lambda: self.stock.parse(self.subject.signature, text))

    def _outputs(self, answer: Callable[[], Mapping[str, Any]]) -> Read:
        try:
            fields = answer()
            return {name: repr(fields[name]) for name in self.subject.signature.output_fields}
        except AdapterParseError:
            return None
        except Exception as error:  # DSPy's parser raises on some wrong answers, on both sides
            return f"{type(error).__name__}: {error}"

    def _compare_with_stock(self, inputs: Inputs, direct: list[dict[str, Any]]) -> None:
        filled = {name: info.default for name, info in self.subject.signature.input_fields.items() if has_default(info)}
        stock = self.stock.format(self.subject.signature, list(self.subject.predict.demos), {**filled, **inputs})
        if stock != direct:
            self.report.unlike_stock[_why_unlike(stock, direct)] += 1


def _why_unlike(stock: list[dict[str, Any]], served: list[dict[str, Any]]) -> str:
    if len(stock) != len(served):
        return DEMO_TURNS
    if any(isinstance(message["content"], list) for message in stock):
        return CUSTOM_TYPE_MARKER
    return KEY_ORDER


def _is_unicode(arguments: Inputs) -> bool:
    try:
        json.dumps(arguments, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _as_sent(arguments: Inputs) -> Any:
    return json.loads(json.dumps(arguments))


@contextmanager
def _quiet_dspy() -> Iterator[None]:
    """Silence DSPy's warnings about inputs, because the generated inputs cause many."""
    logger = logging.getLogger("dspy")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
