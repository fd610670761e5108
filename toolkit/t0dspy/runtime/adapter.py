"""The adapter of bound predictors: it sends input fields instead of a prompt, and parses answers as DSPy does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import dspy
from dspy.lm15 import Request, Response
from dspy.utils.exceptions import AdapterParseError, LMUnexpectedError

from t0dspy.compiler.adapters import json_arguments, stock_adapter
from t0dspy.compiler.sampling import VARIANT_KEYS
from t0dspy.errors import ProgramError, RunError, T0dspyError
from t0dspy.model import PromptForm
from t0dspy.runtime.engine import is_gateway_lm, stage_request
from t0dspy.runtime.run import Run, current_run

Lm = Any
Candidate = tuple[Request, dict[str, Any]]
"""A request, and the options that DSPy's LM accepts in addition."""


@dataclass(frozen=True)
class Binding:
    """The identity of a deployed predictor."""

    path: str
    """DSPy's path of the predictor in the exported program."""
    lm: dspy.LM
    """The gateway."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The predictor's options when it was bound; the exported version has its own."""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


class GatewayAdapter(dspy.Adapter):
    """Answers bound predictors; needs no arguments, since DSPy's Refine makes adapters of the same class."""

    def __init__(self, *args: Any, binding: Binding | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.binding = binding

    def __call__(self, lm: Lm, lm_kwargs: dict[str, Any], signature: Any, demos: Any, inputs: dict[str, Any]) -> Any:
        """Return one parsed answer per candidate; see `dspy.Adapter`."""
        binding, run = self._require_binding(), _require_run()
        candidates = _candidates(binding, run, lm, lm_kwargs, signature, inputs)
        gateway = lm if is_gateway_lm(lm) else binding.lm
        try:
            return [_read(binding, run, signature, gateway(request, **options)) for request, options in candidates]
        except LMUnexpectedError as error:
            raise _unwrap(error) from error

    async def acall(self, lm: Lm, lm_kwargs: dict[str, Any], signature: Any, demos: Any, inputs: dict[str, Any]) -> Any:
        """Do the same as `__call__`, asynchronously."""
        binding, run = self._require_binding(), _require_run()
        candidates = _candidates(binding, run, lm, lm_kwargs, signature, inputs)
        gateway = lm if is_gateway_lm(lm) else binding.lm
        try:
            return [
                _read(binding, run, signature, await gateway.acall(request, **options))
                for request, options in candidates
            ]
        except LMUnexpectedError as error:
            raise _unwrap(error) from error

    def _require_binding(self) -> Binding:
        if self.binding is None:
            raise ProgramError("dspy.Refine changes a predictor's inputs, which an exported function cannot take.")
        return self.binding


def _require_run() -> Run:
    run = current_run()
    if run is None:
        raise RunError("a deployed predictor was called outside of its run.")
    return run


def _candidates(
    binding: Binding, run: Run, lm: Lm, lm_kwargs: Mapping[str, Any], signature: Any, inputs: Mapping[str, Any]
) -> Iterator[Candidate]:
    _check_signature(binding, signature)
    entry = run.served.stages[binding.path]
    options = _options(binding, lm, lm_kwargs)
    count = options.pop("n", None) or 1
    call: dict[str, Any] = {name: options.pop(name) for name in ("rollout_id", "cache") if name in options}
    sampling, arguments = _sampling(binding, options), json_arguments(signature, inputs)
    request = stage_request(entry.function, run.served.version, arguments, entry.demo_turns, sampling)
    # Workaround (dspy 3.4): DSPy's cache answers a repeated request, so each of `n` requests gets a `rollout_id` of its
    # own; remove when the cache keeps the answers of one call apart.
    for index in range(count):
        yield request, {**call, "rollout_id": f"{call.get('rollout_id', '')}#{index}"} if index else call


def _options(binding: Binding, lm: Lm, lm_kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of this call that differ from the export, including those of LM copies that BestOfN makes."""
    is_gateway = is_gateway_lm(lm)
    given = lm.kwargs if is_gateway or lm.kwargs.get("rollout_id") is not None else {}
    wanted = {name: given[name] for name in (given if is_gateway else ("rollout_id", "temperature")) if name in given}
    wanted |= {name: value for name, value in lm_kwargs.items() if value != binding.config.get(name)}
    return {name: value for name, value in wanted.items() if value is not None}


def _sampling(binding: Binding, options: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(options.keys() - VARIANT_KEYS.keys())
    if unknown:
        known = ", ".join([*VARIANT_KEYS, "n", "rollout_id", "cache"])
        raise ProgramError(
            f"predictor {binding.path!r} was called with the option {unknown[0]!r}, which the gateway cannot carry. "
            f"It supports {known}."
        )
    return {VARIANT_KEYS[name]: value for name, value in options.items()}


def _check_signature(binding: Binding, signature: Any) -> None:
    for kind, current, exported in (
        ("inputs", tuple(signature.input_fields), binding.inputs),
        ("outputs", tuple(signature.output_fields), binding.outputs),
    ):
        if current != exported:
            raise ProgramError(
                f"predictor {binding.path!r} was called with the {kind} {', '.join(current)}, but it was exported with "
                f"{', '.join(exported)}. Export the program again."
            )


def _read(binding: Binding, run: Run, signature: Any, response: Response) -> dict[str, Any]:
    """Parse an answer with DSPy's parser, and return its fields and, under hidden names, its ids."""
    text = response.text or ""
    source = cast("Mapping[str, Any]", response.provider_data or {})
    try:
        if not text:  # DSPy does not ask its parser, which would find every field that has a default
            raise AdapterParseError(
                type(_parser(run.served.form)).__name__, signature, text, message="The LM returned an empty response."
            )
        fields: dict[str, Any] = dict(_parser(run.served.form).parse(signature, text))
    except AdapterParseError as error:
        vars(error)["t0dspy_stage"] = binding.path, source.get("inference_id")
        raise
    fields["dspy_inference_id"] = source.get("inference_id")
    fields["dspy_episode_id"] = source.get("episode_id")
    fields["dspy_variant"] = source.get("variant_name")
    return fields


_PARSERS = {form: stock_adapter(form) for form in (PromptForm("chat"), PromptForm("json"))}


def _parser(form: PromptForm) -> Any:
    return _PARSERS[PromptForm(form.adapter)]


def _unwrap(error: LMUnexpectedError) -> Exception:
    return error.__cause__ if isinstance(error.__cause__, T0dspyError) else error
