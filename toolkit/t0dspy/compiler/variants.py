"""List the variants that a version of a predictor has: a pair of texts for each LM."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from t0dspy.artifact.variants import variant_name
from t0dspy.compiler.response_format import fits_toml
from t0dspy.compiler.sampling import NOT_IN_VARIANTS
from t0dspy.model import CompiledPredictor, LmEntry, Text

MAIN_LM = "main"
"""The name of the LM in variants of a function without Python if no LM was known at the export."""


@dataclass(frozen=True)
class Variant:
    """A variant of the function of a predictor."""

    name: str
    model: str
    """The model in TensorZero's config."""
    settings: Mapping[str, Any]
    """Further keys, such as `temperature` and `json_mode`."""
    templates: Mapping[str, str]
    """Template name -> file, relative to `variant.toml`."""
    retries: bool = False
    """Whether the gateway repeats a failed call. It does so only for clients other than our runtime, in which DSPy's
    LM retries."""


def variants_of(
    predictor: CompiledPredictor, version: str, lms: Mapping[str, LmEntry], prefix: str, *, direct: bool
) -> Iterator[Variant]:
    """Yield the variants of `predictor` in `version`; the first is the one that can have traffic.

    Args:
        predictor: the compiled predictor.
        version: the version's name.
        lms: the LMs of the program, by their names in variants.
        prefix: what the names of its template files begin with.
        direct: whether the gateway serves the predictor without Python, so that the first variant is for other
            clients and our runtime has variants of its own for every LM.
    """
    texts: list[Text | None] = [*predictor.templates] or [None]
    models = {name: entry.model for name, entry in lms.items() if direct or name != predictor.lm}
    if direct:
        models = models or {predictor.lm or MAIN_LM: predictor.model}
        yield _candidate(predictor, version, prefix, retries=True)
    else:
        yield _candidate(predictor, version, prefix, retries=False)
        models = {"": predictor.model, **models}
    for lm, model in models.items():
        for index, text in enumerate(texts):
            if lm or index:
                yield _for_runtime(predictor, variant_name(version, lm, fallback=index > 0), model, prefix, text)


def _candidate(predictor: CompiledPredictor, version: str, prefix: str, *, retries: bool) -> Variant:
    settings = {} if predictor.kept else {**predictor.sampling, **predictor.json_mode, **_extra_body(predictor)}
    text = next(iter(predictor.templates), None)
    return Variant(version, predictor.model, settings, template_files(predictor, prefix, text), retries)


def _extra_body(predictor: CompiledPredictor) -> dict[str, Any]:
    """Return the settings that a variant has no key for, as a variant sends them to the provider."""
    entries = [
        {"pointer": f"/{name}", "value": value}
        for name, value in predictor.extra.items()
        if name not in NOT_IN_VARIANTS and fits_toml(value)
    ]
    written = [*predictor.json_mode.get("extra_body", ()), *entries]
    return {"extra_body": written} if written else {}


def _for_runtime(predictor: CompiledPredictor, name: str, model: str, prefix: str, text: Text | None) -> Variant:
    # Our runtime sends DSPy's sampling and response format with each call.
    settings = {"json_mode": "off"} if predictor.json_mode else {}
    return Variant(name, model, settings, template_files(predictor, prefix, text))


def template_files(predictor: CompiledPredictor, prefix: str, text: Text | None) -> dict[str, str]:
    """Return template name -> file of an adapter text of `predictor`; the fallback's files begin with `json.`."""
    if text is None:
        return {}
    between = "" if text == next(iter(predictor.templates)) else "json."
    return {name: f"{prefix}{between}{name}.minijinja" for name in predictor.templates[text]}
