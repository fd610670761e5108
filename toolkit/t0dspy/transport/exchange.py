"""Exchange a body that DSPy would send to a provider for the provider's answer, through the gateway."""

from dataclasses import dataclass
from typing import Any

import dspy

from t0dspy.artifact.lms import find_lm
from t0dspy.artifact.variants import variant_name
from t0dspy.errors import ProgramError, T0dspyError
from t0dspy.gateway import Completion
from t0dspy.transport.answer import Answer, read_answer, read_inference
from t0dspy.transport.body import Body, parse_body
from t0dspy.transport.call import PredictorCall, current_call
from t0dspy.transport.request import compiled_request, kept_request, translated_request
from t0dspy.transport.run import Run, ServedVersion


@dataclass(frozen=True)
class Exchange:
    """The exchange of one request of an LM, as part of a run."""

    run: Run
    lm: dspy.LM
    seconds: float | None = None
    """The LM's own time limit for an answer."""
    translated: bool = False
    """Whether the LM's provider has an API of its own, so that the gateway translates requests and answers."""

    def send(self, url: str, raw: bytes) -> Answer:
        """Return the provider's answer to the body `raw` that DSPy would post to `url`.

        Raises:
            ProviderLostError: the provider did not answer.
            T0dspyError: anything else that is not the provider's; the run is over then.
        """
        try:
            body = parse_body(url, raw)
            call, request = self._request(body)
            return self._answer(call, body, request, self.run.send(request, self.seconds))
        except T0dspyError as error:
            raise self._fail(error) from error

    async def asend(self, url: str, raw: bytes) -> Answer:
        """Do the same as `send`, asynchronously."""
        try:
            body = parse_body(url, raw)
            call, request = self._request(body)
            return self._answer(call, body, request, await self.run.asend(request, self.seconds))
        except T0dspyError as error:
            raise self._fail(error) from error

    def _fail(self, error: T0dspyError) -> T0dspyError:
        self.run.end(error)  # so that the run fails even if the program catches the exception, as ReAct does
        return error

    def _request(self, body: Body) -> tuple[PredictorCall, dict[str, Any]]:
        call, served = current_call(), self.run.served
        if call is None:
            raise ProgramError(_unexported(served))
        predictor = call.predictor
        lm = self._find_lm(call)
        if predictor.entry.kept:
            kept = kept_request(predictor.entry.function, body, variant_name(served.version, lm))
            return call, self._translate(kept, body)
        index = predictor.find(body.contents)
        variant = variant_name(served.version, lm, fallback=index > 0)
        compiled = compiled_request(predictor, predictor.prompts[index], call.inputs, body, variant)
        return call, self._translate(compiled, body)

    def _translate(self, request: dict[str, Any], body: Body) -> dict[str, Any]:
        return translated_request(request, body) if self.translated else request

    def _find_lm(self, call: PredictorCall) -> str | None:
        """Return the name that the variants for this LM have; None for the predictor's own LM.

        Raises:
            ProgramError: the version has no model for this LM.
        """
        served, entry = self.run.served, call.predictor.entry
        if not served.lms:
            return served.direct_lm
        name = find_lm(served.lms, self.lm)
        if name is None:
            known = ", ".join(lm.lm for lm in served.lms.values())
            raise ProgramError(
                f"the program calls the LM {self.lm.model!r}{_address(self.lm)}, for which {served} has no model "
                f"(it has {known}). Export it again with --model {self.lm.model}=MODEL, where MODEL is a model of "
                "tensorzero.toml."
            )
        return None if name == entry.lm and served.direct_lm is None else name

    def _answer(self, call: PredictorCall, body: Body, request: dict[str, Any], completion: Completion) -> Answer:
        answer = read_answer(completion, streamed=body.streamed, translated=self.translated)
        if completion.status == 200:
            inference = read_inference(completion)
            call.inferences.append(self.run.record(request, inference))
        return answer


def _unexported(served: ServedVersion) -> str:
    callers = dspy.settings.caller_modules or []
    module = callers[-1] if callers else None
    if isinstance(module, dspy.Predict):
        signature: Any = module.signature
        fields = f"{', '.join(signature.input_fields)} -> {', '.join(signature.output_fields)}"
        subject = f"a predictor with the signature {fields!r}, which {served} does not contain"
        remedy = "Create it in `__init__` and keep it on `self`"
    else:
        subject = f"an LM directly, with a prompt that {served} does not contain"
        remedy = "Call a predictor instead"
    return f"the program calls {subject}. {remedy}, then export the program again; or keep it in Python with --keep."


def _address(lm: dspy.LM) -> str:
    address = lm.kwargs.get("api_base") or lm.kwargs.get("base_url")
    return " at its own address" if address else ""
