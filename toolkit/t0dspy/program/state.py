"""Load a saved DSPy state into a live program through an allowlist, without unpickling or executing anything."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import dspy

from t0dspy.compiler.keep import paths_of
from t0dspy.compiler.sampling import CONNECTION_KEYS, VARIANT_KEYS
from t0dspy.errors import StateError
from t0dspy.program.dspy_version import installed_dspy, is_same_minor

_DSPY_2 = frozenset(("extended_signature", "extended_signature_instructions", "signature_instructions"))
"""Keys of a predictor that DSPy wrote up to version 2.5 and no longer reads."""
_KNOWN = frozenset(("traces", "train", "demos", "signature", "lm", "fields"))
_LM_ATTRIBUTES = frozenset(
    (
        *("_dspy_lm_class", "model", "model_type", "finetuning_model", "launch_kwargs", "train_kwargs", "cache"),
        *("num_retries", "use_developer_role", "engine", "async_engine", "prompt_cache"),
    )
)


def read_state(path: Path) -> dict[str, Any]:
    """Read the state that `program.save("x.json")` wrote to `path`.

    Raises:
        StateError: if it cannot be read, is not JSON, or is a pickle.
    """
    if path.suffix in (".pkl", ".pickle") or path.is_dir():
        raise StateError(
            f"{path}: is a pickled program, which could run any code when loaded. Save it with program.save('x.json')."
        )
    try:
        state = json.loads(path.read_bytes(), parse_constant=_refuse)
    except OSError as error:
        raise StateError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise StateError(f"{path}: is not the JSON that program.save('x.json') writes ({error}).") from error
    if not isinstance(state, dict):
        raise StateError(f"{path}: contains {type(state).__name__}, not the object that program.save('x.json') writes.")
    return state


def _refuse(constant: str) -> None:
    raise ValueError(f"it contains {constant}")


def saved_by(state: Mapping[str, Any]) -> str | None:
    """Return the version of DSPy that saved `state`, such as `2.6.27`, or `2.x`; None if unknown."""
    metadata = state.get("metadata")
    versions = metadata.get("dependency_versions") if isinstance(metadata, dict) else None
    version = versions.get("dspy") if isinstance(versions, dict) else None
    if isinstance(version, str) and version[:1].isdigit():
        return version[:20]
    entries = [state, *(entry for entry in state.values() if isinstance(entry, dict))]
    return "2.x" if any(_DSPY_2 & entry.keys() for entry in entries) else None


def version_notes(state: Mapping[str, Any], origin: str) -> list[str]:
    """Return a note if a minor version of DSPy other than the installed one saved `state`, read from `origin`."""
    saved, installed = saved_by(state), installed_dspy()
    if saved is None or installed is None or is_same_minor(saved, installed):
        return []
    return [
        f"{origin} was saved by DSPy {saved}, but DSPy {installed} is installed. Prompt text differs between minor "
        "versions, so the prompts may not be those that were optimized. Evaluate the program before you serve it."
    ]


def with_state(program: dspy.Module, state: Mapping[str, Any], origin: str) -> tuple[dspy.Module, list[str]]:
    """Return a copy of `program` with `state` loaded, and notes on what was dropped.

    The copy takes instructions, field descriptions and prefixes, demos, and the LM's model and sampling settings. Every
    other key is dropped and named in a note.

    Args:
        program: the live program, which is not changed.
        state: the saved state.
        origin: the name of the state's file, for messages.

    Raises:
        StateError: if the predictors or fields of the state do not match the program.
    """
    program = program.deepcopy()
    predictors = dict(program.named_predictors())
    hidden = paths_of(program)  # a kept module may have predictors that DSPy does not list
    predictors |= {
        path: predict
        for path in state
        if path not in predictors and isinstance(predict := hidden.get(path), dspy.Predict)
    }
    older = saved_by(state) or ""
    if older.startswith("2."):
        origin = f"{origin} (saved by DSPy {older}, whose programs have other predictors and fields)"
    saved = {name: entry for name, entry in state.items() if name != "metadata"}
    if isinstance(program, dspy.Predict) and "self" not in saved and "signature" in saved:
        saved = {"self": saved}  # DSPy saves a program that is a single Predict without a path
    _check_names(set(predictors), set(saved), origin)
    notes = []
    for path, predict in predictors.items():
        notes += _load(predict, saved[path], f"{origin}, predictor {path!r}")
    return program, notes


def _check_names(live: set[str], saved: set[str], origin: str) -> None:
    if live - saved:
        has = ", ".join(sorted(saved)) or "nothing"
        raise StateError(
            f"{origin}: lacks the predictor {min(live - saved)!r} (it has {has}). Is it the state of another program?"
        )
    if saved - live:
        raise StateError(
            f"{origin}: has {min(saved - live)!r}, which the program lacks. Is it the state of another program?"
        )


def _load(predict: dspy.Predict, saved: Any, origin: str) -> list[str]:
    if not isinstance(saved, dict):
        raise StateError(f"{origin}: is {type(saved).__name__}, not an object.")
    if saved.get("fields"):
        raise StateError(f"{origin}: has decision criteria, which cannot be compiled.")
    predict.signature = _signature(cast("type[dspy.Signature]", predict.signature), saved.get("signature"), origin)
    predict.demos = _demos(saved.get("demos", []), origin)
    predict.lm, notes = _lm(saved.get("lm"), origin)
    dropped = sorted(saved.keys() - _KNOWN)
    return (
        [*notes, f"{origin}: dropped {', '.join(map(repr, dropped))}, which prompts do not need."] if dropped else notes
    )


def _signature(live: type[dspy.Signature], saved: Any, origin: str) -> type[dspy.Signature]:
    fields = saved.get("fields") if isinstance(saved, dict) else None
    if not isinstance(saved, dict) or not isinstance(saved.get("instructions"), str) or not isinstance(fields, list):
        raise StateError(f"{origin}: has no signature with instructions and fields.")
    names = list(live.fields)
    if not all(_is_field(field) for field in fields):
        raise StateError(f"{origin}: a field of its signature is not an object with a prefix and a description.")
    if len(fields) != len(names):
        raise StateError(f"{origin}: has {len(fields)} fields, but the signature has {len(names)}: {', '.join(names)}.")
    prefixes = [cast("dict[str, str]", live.fields[name].json_schema_extra)["prefix"] for name in names]
    for name, prefix, field in zip(names, prefixes, fields, strict=True):
        if field["prefix"] != prefix and field["prefix"] in prefixes:  # an optimizer (COPRO) may set a new prefix
            raise StateError(f"{origin}: has {field['prefix']!r} where the signature has the field {name!r}.")
    return cast("type[dspy.Signature]", live.load_state({"instructions": saved["instructions"], "fields": fields}))


def _is_field(field: Any) -> bool:
    if not isinstance(field, dict):
        return False
    return isinstance(field.get("prefix"), str) and isinstance(field.get("description"), str)


def _demos(saved: Any, origin: str) -> list[dict[str, Any]]:
    if not isinstance(saved, list) or not all(isinstance(demo, dict) for demo in saved):
        raise StateError(f"{origin}: its demos are not a list of objects.")
    return cast("list[dict[str, Any]]", saved)


def _lm(saved: Any, origin: str) -> tuple[dspy.LM | None, list[str]]:
    if saved is None:
        return None, []
    if not isinstance(saved, dict) or not isinstance(saved.get("model"), str):
        raise StateError(f"{origin}: its `lm` names no model.")
    kept = {name: saved[name] for name in VARIANT_KEYS if saved.get(name) is not None}
    dropped = sorted(name for name in saved.keys() - VARIANT_KEYS.keys() - _LM_ATTRIBUTES if saved[name] is not None)
    reasons = ["connection setting" if name in CONNECTION_KEYS else "unknown setting" for name in dropped]
    notes = [f"{origin}: dropped {name!r} of its LM ({reason})." for name, reason in zip(dropped, reasons, strict=True)]
    try:
        return dspy.LM(saved["model"], model_type=saved.get("model_type") or "chat", **kept), notes
    except Exception as error:  # dspy.LM has its own checks for reasoning models
        raise StateError(f"{origin}: its LM cannot be created: {error}") from error
