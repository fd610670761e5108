"""Compile a predictor to templates, schemas and state."""

from collections.abc import Callable, Sequence
from typing import Any

import dspy
from dspy.adapters.utils import serialize_for_json

from t0dspy.compiler.prompt_templates import prompt_templates
from t0dspy.compiler.response_format import json_mode_of
from t0dspy.compiler.sampling import dspy_name_of
from t0dspy.compiler.schema import input_schema, output_schema
from t0dspy.compiler.static_text import static_text
from t0dspy.errors import CompileError
from t0dspy.model import CompiledPredictor, Contract, Predictor, canonical


def compile_predictor(predictor: Predictor, adapters: Sequence[dspy.Adapter], lm: Any, model: str) -> CompiledPredictor:
    """Compile a predictor.

    Args:
        predictor: the predictor.
        adapters: the adapters that write its prompts: the exported one, then that of the JSON fallback.
        lm: its LM in DSPy; None if no LM is set.
        model: its model in TensorZero's config.

    Raises:
        CompileError: the result cannot be written to a file.
    """
    return _writable(predictor, lambda: _compile(predictor, adapters, lm, model))


def _writable(predictor: Predictor, compile: Callable[[], CompiledPredictor]) -> CompiledPredictor:
    """Return what `compile` returns; refuse the predictor with a reason if that cannot be written to a file."""
    try:
        compiled = compile()
        canonical([compiled.templates, compiled.state], allow_nan=False).encode("utf-8")
    except UnicodeEncodeError as error:
        reason = f"holds {error.object[error.start]!r}, which UTF-8 cannot encode."
    except ValueError:
        reason = "has a demo with NaN or infinity, which JSON cannot encode."
    except RecursionError:
        reason = "has a demo that is nested too deeply."
    else:
        return compiled
    raise CompileError.because(predictor.path, reason, "Remove it from its instructions, descriptions or demos.")


def compile_kept(predictor: Predictor) -> CompiledPredictor:
    """Compile a kept predictor or module: only the states of the predictors that it covers.

    Raises:
        CompileError: a state cannot be written to a file.
    """
    return _writable(
        predictor,
        lambda: CompiledPredictor(
            path=predictor.path,
            contract=Contract("chat", {}, {}),
            model=predictor.model or "",
            sampling=predictor.sampling,
            json_mode={},
            templates={},
            state={covered.path: predictor_state(covered) for covered in predictor.covered},
            lm=predictor.lm,
            kept=True,
            sends_files=predictor.sends_files,
        ),
    )


def _compile(predictor: Predictor, adapters: Sequence[dspy.Adapter], lm: Any, model: str) -> CompiledPredictor:
    signature = predictor.signature
    inputs = input_schema(signature)
    served_lm = lm or dspy.LM(dspy_name_of(model))  # the runtime's default for a predictor without an LM
    texts = [static_text(adapter, signature, predictor.demos, served_lm) for adapter in adapters]
    exported = texts[0].text
    return CompiledPredictor(
        path=predictor.path,
        contract=Contract(exported, inputs, output_schema(signature)[0]),
        model=model,
        sampling=predictor.sampling,
        json_mode=json_mode_of(signature, adapters[0], lm) if exported == "json" else {},
        templates={text.text: prompt_templates(predictor.path, signature, text) for text in texts},
        state=predictor_state(predictor),
        lm=predictor.lm,
        extra=predictor.extra,
    )


def predictor_state(predictor: Predictor) -> dict[str, Any]:
    """Return `predictor` as the state that `Predict.load_state` reads, without traces, secrets and unknown fields."""
    demos = [{name: _as_json(value) for name, value in demo.items()} for demo in predictor.demos]
    return {
        "traces": [],
        "train": [],
        "demos": demos,
        "signature": predictor.signature.dump_state(),
        "lm": predictor.lm_state,
    }


def _as_json(value: Any) -> Any:
    # Workaround (dspy 3.4): `serialize_for_json` builds a pydantic adapter for each value, which is slow; remove when
    # it returns plain values unchanged.
    plain = type(value) in (str, int, bool, type(None))
    return value if plain else serialize_for_json(value)
