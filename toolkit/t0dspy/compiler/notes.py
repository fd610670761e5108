"""Notes for the user of an export: what is left out, and what differs from expectations."""

from collections.abc import Iterator, Sequence

import dspy

from t0dspy.compiler.introspect import lm_of, problems_of
from t0dspy.compiler.keep import Kept
from t0dspy.compiler.lm_models import own_lm
from t0dspy.compiler.sampling import NOT_IN_VARIANTS, connection_keys, sampling_of
from t0dspy.errors import shown
from t0dspy.model import CompiledPredictor, Predictor


def notes_of(
    program: dspy.Module,
    predictors: Sequence[Predictor],
    compiled: Sequence[CompiledPredictor],
    *,
    direct: bool,
    by_clients: bool,
) -> Iterator[str]:
    """Yield the notes on the export of `program`.

    Args:
        program: the live program.
        predictors: its predictors.
        compiled: the same predictors, compiled.
        direct: whether the program only calls its one predictor.
        by_clients: whether clients other than t0dspy's runtime call the functions of the predictors.
    """
    yield from _omitted_connections(program)
    yield from _without_lm(program)
    if direct and compiled[0].demo_turns:
        yield (
            f"the demos ({compiled[0].demo_turns}) are chat turns, which only the program server can send, so calls go "
            "through it. `--demos system` folds them into the system message instead. Then serving needs no Python, "
            "but the prompt changes; `t0dspy evaluate` measures the effect."
        )
    if by_clients:
        yield from _for_clients(program, predictors)
    yield from _kept(program, [predictor.path for predictor in predictors if predictor.kept])


def _omitted_connections(program: dspy.Module) -> Iterator[str]:
    for path, predict in program.named_predictors():
        omitted = connection_keys(lm_of(predict), predict.config)
        if omitted:
            names = ", ".join(omitted)
            yield f"{shown(path)}: the export omits {names} of its LM; tensorzero.toml defines how to reach a model."


def _without_lm(program: dspy.Module) -> Iterator[str]:
    bare = [shown(path) for path, predict in program.named_predictors() if lm_of(predict) is None]
    if bare:
        yield (
            f"{', '.join(bare)}: no LM is set here, so its sampling settings (temperature, max_tokens ...) are unknown "
            "and the provider's defaults will apply. If you optimized with other settings, call dspy.configure(lm=...) "
            "in the program's module, or give the predictors a config."
        )


def _for_clients(program: dspy.Module, predictors: Sequence[Predictor]) -> Iterator[str]:
    """Yield what DSPy sends and clients of the gateway do not get, because a variant cannot hold it."""
    modules = dict(program.named_predictors())
    for predictor in predictors:
        if predictor.path in modules and not predictor.kept:
            predict = modules[predictor.path]
            omitted = [*sampling_of(own_lm(predict), predict.config).omitted, *NOT_IN_VARIANTS & predictor.extra.keys()]
            if omitted:
                names = ", ".join(omitted)
                yield f"{shown(predictor.path)}: a client that is not t0dspy.deploy does not get the setting {names}."


def _kept(program: dspy.Module, keep: Sequence[str]) -> Iterator[str]:
    problems = problems_of(program) if keep else []
    for path in keep:
        kept = Kept(program, [path])
        covered = [problem.refusal for problem in problems if kept.covers(problem.module)]
        reasons = dict.fromkeys(f"{shown(refusal.location)}: {refusal.reason}" for refusal in covered)
        why = " ".join(reasons) or "It could also be compiled."
        yield f"{shown(path)} is kept in Python and runs through DSPy. {why}"
