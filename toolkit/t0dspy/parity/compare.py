"""Compare the requests of predictors in DSPy with those that arrive through the gateway, input by input."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dspy
from dspy._vendor.lm15.registry import lookup

from localkit.scripted_upstream import RecordedRequest, ScriptedUpstream
from t0dspy.artifact.exported import ExportedProgram
from t0dspy.artifact.manifest import VersionEntry
from t0dspy.compiler.adapters import make_adapter
from t0dspy.compiler.introspect import lm_of, signature_of
from t0dspy.compiler.sampling import CONNECTION_KEYS
from t0dspy.parity import wire
from t0dspy.parity.answers import answers_for
from t0dspy.parity.inputs import Given, inputs_of
from t0dspy.parity.outcome import Outcome, raised, returned
from t0dspy.parity.plain_clients import PlainClient
from t0dspy.parity.redirect import redirected
from t0dspy.parity.report import DEMO_TURNS, Mismatch, ParityReport, PredictorReport
from t0dspy.parity.runs import Plain, quiet_dspy, request_text
from t0dspy.parity.served import Deployed, deployed
from t0dspy.transport.bind import bind
from t0dspy.transport.default_lm import default_lm
from t0dspy.transport.inputs import call_inputs

INPUTS = 200
"""The number of generated inputs per predictor, in addition to extreme values, demos and examples."""

ENOUGH = 5
"""The number of mismatches of a predictor after which its other inputs are skipped."""

FALLBACK_EVERY = 4
"""One of so many inputs gets an answer that DSPy cannot parse, so that it asks again through its JSON fallback."""

Inputs = dict[str, Any]


def compare(
    program: dspy.Module,
    exported: ExportedProgram,
    version: str,
    *,
    examples: Sequence[Inputs] = (),
    inputs: int = INPUTS,
    progress: Callable[[str, int], None] = lambda path, count: None,
) -> ParityReport:
    """Send each input through DSPy to a recorder and through the gateway to the same recorder, and compare.

    DSPy runs on both sides, so that a call that DSPy repeats through its JSON fallback gives two requests.

    Args:
        program: the live program with the state of the version.
        exported: the exported program; its files need not be on disk.
        version: the version under test.
        examples: additional inputs, flat objects of fields; a predictor gets those that have its fields.
        inputs: the number of generated inputs per predictor.
        progress: called with a predictor's path and the number of compared inputs.

    Returns:
        The report on all predictors but the kept ones, which have no prompt to compare.

    Raises:
        GatewayError: if TensorZero rejects the config.
        BundleError: if a file is not valid TOML, or an older t0dspy exported the version.
    """
    entry = exported.version(version)
    reports = []
    with _recorder() as recorder, deployed(program, exported, version, recorder.url.removesuffix("/v1")) as serve:
        for pair in _pairs(program, entry, serve.deployment, recorder):
            for count, given in enumerate(pair.inputs(examples, inputs), 1):
                pair.compare_requests(given, fallback=count % FALLBACK_EVERY == 0)
                progress(pair.path, count)
                if len(pair.report.mismatches) >= ENOUGH:
                    break
            if not pair.report.mismatches:
                pair.compare_answers()
            reports.append(pair.report)
    return ParityReport(version, reports)


@contextmanager
def _recorder() -> Iterator[ScriptedUpstream]:
    """Record the requests of DSPy and of the gateway."""
    with ScriptedUpstream() as recorder, redirected(recorder.url.removesuffix("/v1")), quiet_dspy():
        yield recorder


def _pairs(
    program: dspy.Module, entry: VersionEntry, deployment: Deployed, recorder: ScriptedUpstream
) -> Iterator["_Pair"]:
    served = program.deepcopy()
    kept = {path for path, predictor in entry.predictors.items() if predictor.kept}
    bind(served, deployment, kept)
    lms = {path: default_lm(entry.lms, stage) for path, stage in entry.predictors.items()}
    plain = Plain(lms).prepare(program.deepcopy())
    served_predictors = dict(served.named_predictors())
    for path, predict in plain.named_predictors():
        if path in entry.predictors and not entry.predictors[path].kept:
            translated = _has_own_api(lm_of(predict))
            if translated:
                predict.lm = _with_openai_api(lm_of(predict))
            yield _Pair(path, predict, served_predictors[path], entry, deployment, recorder, translated=translated)


def _has_own_api(lm: Any) -> bool:
    """Return whether the provider of `lm` has an API other than OpenAI's, into which the gateway translates."""
    provider = str(getattr(lm, "model", "")).partition("/")[0]
    definition = None if provider == "openai" else lookup(provider)
    return definition is not None and definition.dialect != "openai-chat"


def _with_openai_api(lm: Any) -> dspy.LM:
    """Return an LM with the same options whose requests the recorder can read; only its messages are compared."""
    options = {name: value for name, value in lm.kwargs.items() if name not in CONNECTION_KEYS}
    return dspy.LM(f"openai/{lm.model}", model_type=lm.model_type, cache=False, num_retries=0, **options)


@dataclass(frozen=True)
class _Sent:
    """What a call sent, and how it ended."""

    requests: Sequence[RecordedRequest]
    outcome: Outcome

    def is_text(self) -> bool:
        messages = [message for request in self.requests for message in request.body["messages"]]
        return all(isinstance(message["content"], str) for message in messages)

    def texts(self, *, translated: bool) -> list[str]:
        if translated:
            return [json.dumps(request.body.get("messages")) for request in self.requests]
        return [request_text(request) for request in self.requests]


class _Pair:
    """A predictor in DSPy, and the same predictor deployed to the gateway."""

    def __init__(
        self,
        path: str,
        plain: dspy.Predict,
        served: dspy.Predict,
        entry: VersionEntry,
        deployment: Deployed,
        recorder: ScriptedUpstream,
        *,
        translated: bool,
    ) -> None:
        self.translated = translated
        self.path, self.plain, self.served, self.recorder = path, plain, served, recorder
        self.form = entry.form
        self.adapter = make_adapter(entry.form, entry.adapter)
        predictor = deployment.served.predictors[path]
        self.report = PredictorReport(path, predictor.entry.function)
        if entry.form.demos == "system" and plain.demos:
            self.report.unlike_stock[DEMO_TURNS] += 1
        self.client = PlainClient(
            predictor, deployment.served.version, deployment.gateway, recorder, self._clients_report(entry)
        )
        self.answer = ""
        """An answer that DSPy parses; empty if none is known."""
        self.accepted: Mapping[str, Any] | None = None
        """The first inputs that DSPy sent."""

    def _clients_report(self, entry: VersionEntry) -> PredictorReport:
        """Return the report on clients without our runtime: only mismatches if they need not call this predictor."""
        if entry.served_by == "gateway":
            return self.report
        return PredictorReport(self.path, self.report.function, mismatches=self.report.mismatches)

    def inputs(self, examples: Sequence[Inputs], count: int) -> Iterator[Given]:
        """Yield the inputs of the comparison."""
        return inputs_of(self.plain, examples, count, self.report.skipped)

    def compare_requests(self, given: Given, *, fallback: bool) -> None:
        """Call both predictors with the same inputs, and compare all requests.

        Args:
            given: the inputs.
            fallback: whether the answer is one that DSPy cannot parse, so that it asks again.
        """
        if self.accepted is None:
            self._find_answer(given)
        self.recorder.script = "" if fallback else self.answer
        direct, served = self._call(self.plain, given.values), self._call(self.served, given.values)
        if not direct.requests and not served.requests:
            self._compare_unsent(given, direct, served)
            return
        if self.translated and not direct.is_text():
            return  # the gateway translates text that looks like DSPy's marker of custom types as text
        self.accepted = self.accepted or given.values
        self.report.requests += len(direct.requests)
        if direct.texts(translated=self.translated) != served.texts(translated=self.translated):
            self.report.mismatches.append(_mismatch(given.values, direct, served))
        elif self.client.wants(given) and not self.translated:
            filled = call_inputs(self.plain, given.values)
            self.client.compare(given.values, filled, direct.requests[0].body)

    def _compare_unsent(self, given: Given, direct: _Sent, served: _Sent) -> None:
        if direct.outcome != served.outcome:
            kind = "refused" if served.outcome.refusal is not None else "answer"
            detail = f"DSPy sends nothing: {direct.outcome.text}\nserved sends nothing: {served.outcome.text}"
            self.report.mismatches.append(Mismatch(kind, dict(given.values), detail))
        elif given.source != "wild":
            self.report.skipped[f"{given.source}: DSPy sends nothing: {direct.outcome.text[:200]}"] += 1

    def compare_answers(self) -> None:
        """Replay answers both ways and compare the outcomes."""
        if self.accepted is None or self.translated:
            return
        for text in self._answers():
            self.recorder.script = text
            direct, served = self._call(self.plain, self.accepted), self._call(self.served, self.accepted)
            self.report.answers += 1
            if direct.outcome.text != served.outcome.text:
                detail = f"answer {text!r}\nDSPy returns   {direct.outcome.text}\nserved returns {served.outcome.text}"
                self.report.mismatches.append(Mismatch("answer", dict(self.accepted), detail))

    def _answers(self) -> Iterator[str]:
        return answers_for(signature_of(self.plain), self.form.adapter, self.report.function, count=1)

    def _find_answer(self, given: Given) -> None:
        for text in self._answers():
            self.recorder.script = text
            if text and len(self._call(self.plain, given.values).requests) == 1:
                self.answer = text
                return

    def _call(self, predict: dspy.Predict, inputs: Mapping[str, Any]) -> _Sent:
        self.recorder.requests.clear()
        with dspy.context(adapter=self.adapter, disable_history=True):
            try:
                outcome = returned(predict(**inputs))
            except Exception as error:  # a wild input may raise anything, on both sides
                outcome = raised(error)
        return _Sent(tuple(self.recorder.requests), outcome)


def _mismatch(inputs: Mapping[str, Any], direct: _Sent, served: _Sent) -> Mismatch:
    arguments = dict(inputs)
    if served.outcome.refusal is not None:
        return Mismatch("refused", arguments, served.outcome.refusal)
    if len(direct.requests) != len(served.requests):
        counts = f"DSPy sends {len(direct.requests)} requests, and {len(served.requests)} arrive through the gateway"
        return Mismatch("request", arguments, f"{counts}: {served.outcome.text}")
    pairs = zip(direct.requests, served.requests, strict=True)
    differences = (wire.difference(_with_path(left), _with_path(right)) for left, right in pairs)
    return Mismatch("request", arguments, "\n".join(filter(None, differences)))


def _with_path(request: RecordedRequest) -> dict[str, Any]:
    """Return the body with the path of the URL, which is different for LMs of other names or addresses."""
    kept = {key: value for key, value in request.body.items() if key != "stream" or value is not False}
    return {"path": request.path, **kept}
