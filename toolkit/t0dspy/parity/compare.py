"""The comparison itself: DSPy directly and the gateway with the exported config, one input after the other."""

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
"""Generated inputs for each predictor, besides each field's extremes, the demos and the examples."""

ENOUGH = 5
"""Mismatches of one predictor after which the rest of its inputs are left."""

Inputs = dict[str, Any]
Read = dict[str, str] | str | None
"""What is read from an answer: field -> its value, written out; a failure; or None where it is no answer."""


class NothingSentError(Exception):
    """DSPy itself cannot be called with an input."""


@dataclass(frozen=True)
class Subject:
    """One predictor, live in DSPy and exported."""

    path: str
    predict: dspy.Predict
    settings: Mapping[str, Any]
    """What its LM is called with in DSPy."""
    entry: PredictorEntry

    @property
    def signature(self) -> type[dspy.Signature]:
        """The signature it has now."""
        return signature_of(self.predict)


def subjects_of(program: dspy.Module, version: VersionEntry, *, recorded: bool) -> list[Subject]:
    """The predictors of `program` as subjects of comparison with `version`.

    Args:
        program: the live program, its optimized state loaded.
        version: what was exported of it.
        recorded: take the LM's settings from the version's record, not from the LM that is configured now.
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
    """Send every input both ways and compare what would reach the provider; replay answers and compare how they read.

    Args:
        version: the version under test.
        form: its prompt form.
        subjects: its predictors.
        files: the program's tree, path -> text.
        examples: inputs of the user's, flat objects of fields; each goes to every predictor whose fields it has.
        inputs: how many generated inputs each predictor gets.
        progress: called with a predictor's path and the number of inputs done.

    Raises:
        GatewayError: TensorZero refuses the config.
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
    """One predictor, both ways."""

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
        """The first inputs that both sides sent."""
        self.types: dict[str, pydantic.TypeAdapter[Any]] = {}
        self.report = PredictorReport(subject.path, subject.entry.function)
        settings: dict[str, Any] = {"api_base": recorder.url, "api_key": "none", **subject.settings}
        self.lm = dspy.LM(f"openai/{MODEL_NAME}", cache=False, num_retries=0, engine="lm15", **settings)

    def inputs(self, examples: Sequence[Inputs], count: int) -> Iterator[Inputs]:
        """Demos and examples first, then each field's extremes, then generated ones."""
        fields = self.subject.signature.input_fields
        for source, given in (("demo", self.subject.predict.demos), ("example", examples)):
            for one in given:
                inputs = {name: one[name] for name in fields if name in one}
                reason = self._misfit(inputs)
                if reason:
                    self.report.skipped[f"{source}: {reason}"] += 1
                else:
                    yield inputs
        generator = Generator(self.schema, random.Random(self.subject.entry.function))
        try:
            for arguments in generator.edges():
                yield from self._fitting(arguments)
            for _ in range(count):
                yield from self._fitting(generator.arguments())
        except NoFittingValue as why:
            self.report.skipped[f"generated: {why}"] += 1

    def compare_request(self, inputs: Inputs) -> None:
        """Send `inputs` both ways and compare the bodies.

        Every other time the gateway gets what a client in another language writes: objects without what is a default.
        """
        arguments = adapters.json_arguments(self.subject.signature, inputs)
        if self.report.requests % 2:
            arguments = without_defaults(self.schema, arguments)
        self.recorder.script = "{}"
        try:
            direct, _ = self._direct(inputs)
        except NothingSentError as why:
            self.report.skipped[str(why)] += 1
            return
        self.recorder.requests.clear()
        try:
            self._served(arguments)
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
        """Replay answers both ways and compare what is read from them."""
        signature = self.subject.signature
        if self.accepted is None:
            return
        inputs, arguments = self.accepted, adapters.json_arguments(signature, self.accepted)
        for text in answers_for(signature, self.form.adapter, self.subject.entry.function):
            self.recorder.script = text
            _, direct = self._direct(inputs)
            served = self._read(self._served(arguments).text)
            self.report.answers += 1
            if direct != served:
                self.report.mismatches.append(
                    Mismatch("answer", arguments, f"answer {text!r}\nDSPy reads  {direct}\nserved reads {served}")
                )

    def _misfit(self, inputs: Inputs) -> str:
        arguments = adapters.json_arguments(self.subject.signature, inputs)
        if not _is_unicode(arguments):
            return "holds half a surrogate pair, which no provider can receive"
        error = jsonschema.exceptions.best_match(self.validator.iter_errors(_as_sent(arguments)))
        if error is None:
            return ""
        where = "/".join(map(str, error.absolute_path))
        return f"{where + ': ' if where else ''}{error.message[:200]}"

    def _fitting(self, arguments: Inputs) -> Iterator[Inputs]:
        """`arguments` as the Python values that a program would pass, if they fit the schema."""
        inputs = {name: self._typed(name, value) for name, value in arguments.items()}
        if self._misfit(inputs):
            self.report.skipped["generated: does not fit the schema"] += 1
        else:
            yield inputs

    def _typed(self, name: str, value: Any) -> Any:
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

    def _direct(self, inputs: Inputs) -> tuple[dict[str, Any], Read]:
        """The body that DSPy sends for `inputs`, and what it reads from the answer.

        Raises:
            NothingSentError: DSPy failed before it sent anything.
        """
        self.recorder.requests.clear()
        with dspy.context(lm=self.lm, adapter=self.adapter):
            predict = self.subject.predict.reset_copy()
            predict.demos, predict.lm = self.subject.predict.demos, self.lm
            # connection settings would lead away from the recorder
            predict.config = {key: value for key, value in predict.config.items() if key not in CONNECTION_KEYS}
            read = self._outputs(lambda: predict(**inputs))
        if not self.recorder.requests:
            raise NothingSentError(f"DSPy sends nothing: {read}")
        return self.recorder.requests[-1].body, read

    def _served(self, arguments: Inputs) -> Inference:
        messages = input_messages(arguments, self.subject.entry.demo_turns)
        return self.gateway.infer(self.subject.entry.function, messages, variant=self.version)

    def _read(self, text: str) -> Read:
        """What DSPy's own adapter reads from `text`; an empty answer is none, even where no output is required."""
        if not text:
            return None
        return self._outputs(lambda: self.stock.parse(self.subject.signature, text))

    def _outputs(self, answered: Callable[[], Mapping[str, Any]]) -> Read:
        try:
            fields = answered()
            return {name: repr(fields[name]) for name in self.subject.signature.output_fields}
        except AdapterParseError:
            return None
        except Exception as error:  # some wrong answers make DSPy's parser stumble, and then on both sides
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
    """Without DSPy's warnings about inputs, which strange inputs cause on purpose."""
    logger = logging.getLogger("dspy")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
