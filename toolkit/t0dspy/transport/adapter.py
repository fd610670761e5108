"""The DSPy adapter of a run: the program's own, unless the version was exported with another."""

from typing import Any

import dspy

from t0dspy.compiler.adapters import adapter_options, form_of, make_adapter
from t0dspy.transport.run import ServedVersion


def settings_for(served: ServedVersion) -> dict[str, Any]:
    """Return the changes of DSPy's settings for a run of `served`: none if the configured adapter is the exported one.

    The state of a program does not contain its adapter, and a version may have been exported with `--adapter`.
    """
    live = dspy.settings.adapter
    form = form_of(live)
    if form is None and not any(predictor.prompts for predictor in served.predictors.values()):
        return {}  # all predictors are kept, and the program's own adapter writes their prompts
    if form == served.form and adapter_options(live) == dict(served.adapter):
        return {}
    return {"adapter": make_adapter(served.form, served.adapter)}
