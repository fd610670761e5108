"""The LM of a predictor for which the program's code configures none, as the version recorded it."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import dspy

from t0dspy.artifact.manifest import PredictorEntry
from t0dspy.compiler.sampling import dspy_name_of
from t0dspy.model import LmEntry, canonical
from t0dspy.transport.prompt import ServedPredictor
from t0dspy.transport.run import ServedVersion

_TO_DSPY = {"stop_sequences": "stop"}
"""A variant's name of a setting -> DSPy's name, where they differ."""


MARK = "t0dspy_default_lm"
"""The key in DSPy's settings that is true while the settings' LM is one of these."""


def default_settings(served: ServedVersion, predictor: ServedPredictor | None) -> dict[str, Any]:
    """Return the changes of DSPy's settings that give a call an LM if the program's code configures none.

    Args:
        served: the version.
        predictor: the predictor that is called; None for the program, whose modules may copy the LM, as BestOfN does.
    """
    if dspy.settings.lm is not None and not dspy.settings.get(MARK):
        return {}
    predictor = predictor or next(iter(served.predictors.values()))
    return {"lm": default_lm(served.lms, predictor.entry), MARK: True}


def default_lm(lms: Mapping[str, LmEntry], entry: PredictorEntry) -> dspy.LM:
    """Return the LM that a predictor was exported with, with its sampling settings.

    Args:
        lms: the LMs of the version.
        entry: the predictor in this version.
    """
    lm = lms.get(entry.lm or "")
    settings: dict[str, Any] = {_TO_DSPY.get(name, name): value for name, value in entry.sampling.items()}
    if lm is None:
        name, type, address = dspy_name_of(entry.model), "chat", None
    else:
        name, type, address = lm.lm, lm.type, lm.address
    return _lm(name, type, address, canonical(settings))


@lru_cache(maxsize=256)
def _lm(name: str, type: Any, address: str | None, settings: str) -> dspy.LM:
    options = json.loads(settings)
    if address:
        options["api_base"] = address
    return dspy.LM(name, model_type=type, **options)
