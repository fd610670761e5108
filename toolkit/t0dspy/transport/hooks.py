"""Deploy a module by replacing its `forward` and `aforward` with hooks, which are instance attributes.

DSPy's `Module.__call__` and `Predict.forward` still do everything; a hook only records which predictor calls, in which
run, with which inputs. A copy that is made during a run (BestOfN, Refine) stays deployed; any other copy, such as an
optimizer's, is not deployed.
"""

import types
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import dspy
from dspy.utils.exceptions import AdapterParseError, LMUnexpectedError

from t0dspy.errors import T0dspyError
from t0dspy.transport import call as calls
from t0dspy.transport import run as runs
from t0dspy.transport.adapter import settings_for
from t0dspy.transport.call import PredictorCall
from t0dspy.transport.default_lm import default_settings
from t0dspy.transport.inputs import Bound, call_inputs, with_version_state
from t0dspy.transport.prompt import ServedPredictor
from t0dspy.transport.run import Run, current_run

_METHODS = ("forward", "aforward")


class Deployment(Protocol):
    """Begins the runs of a deployed module."""

    def begin(self) -> Run:
        """Begin the run of a new top-level call."""


def hook(module: dspy.Module, deployment: Deployment, bound: Bound | None) -> None:
    """Deploy `module` in place, as the predictor or kept module `bound`, or as a program if `bound` is None."""
    for name in _METHODS:
        if hasattr(type(module), name):
            kind = _AsyncHook if name == "aforward" else _Hook
            vars(module)[name] = kind(name, module, deployment, bound)


class _Base:
    """A hook; it finds the called module, which may be a copy of the module that was hooked."""

    def __init__(self, name: str, module: dspy.Module, deployment: Deployment, bound: Bound | None) -> None:
        self.name, self.deployment, self.bound = name, deployment, bound
        self._module = weakref.ref(module)
        previous = vars(module).get(name)
        self._replaced: Callable[..., Any] | None = previous._replaced if isinstance(previous, _Base) else previous
        """The method that the program had put on the instance, as KNNFewShot does."""

    def method(self, module: dspy.Module) -> Callable[..., Any]:
        """Return the method that the hook stands for."""
        return self._replaced or types.MethodType(getattr(type(module), self.name), module)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if dspy.settings.caller_modules:
            return self
        copied = memo.get(id(self._module()))
        if copied is None:  # DSPy's fallback copies attribute by attribute
            return _Plain(self.name)
        return types.MethodType(getattr(type(copied), self.name), copied)

    def __reduce__(self) -> Any:
        return _Plain, (self.name,)  # connections cannot be pickled, so an unpickled program is not deployed

    def module(self) -> dspy.Module:
        """Return the called module."""
        module = _calling_module(self) or self._module()
        if module is None:
            raise RuntimeError(f"the module of this {self.name} is gone")
        return module

    def _predictor(self, run: Run) -> ServedPredictor | None:
        """Return what the version has for this module; None if a kept module around it is being called."""
        around = calls.current_call()
        if self.bound is None or (around is not None and around.predictor.entry.kept):
            return None
        return run.served.predictors.get(self.bound.path)

    def _with_state(self, predictor: ServedPredictor, module: dspy.Module, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the keywords with the version's state; a method that the program put on the instance gets its own."""
        if self.bound is None or self._replaced is not None:
            return kwargs
        return with_version_state(self.bound, predictor, module, kwargs)

    @contextmanager
    def active(self, module: dspy.Module, kwargs: dict[str, Any]) -> Iterator["_Active"]:
        """Set DSPy's settings for one call, and yield the call; translate errors at its end."""
        run = current_run()
        top = run is None or run.owner is not self.deployment  # a deployed program may call another one
        if top or run is None:
            run = self.deployment.begin()
        call, changes = None, settings_for(run.served) if top else {}
        predictor = self._predictor(run)
        if self.bound is not None and predictor is not None:
            kwargs = self._with_state(predictor, module, kwargs)
            call = PredictorCall(predictor, call_inputs(module, kwargs))
            changes[calls.SETTING] = call
        elif top:
            changes[calls.SETTING] = None
        elif self.bound is not None and self.bound.path in run.served.covered:
            kwargs = self._with_state(run.served.covered[self.bound.path], module, kwargs)
        changes |= default_settings(run.served, call.predictor if call else None)
        with dspy.context(**{runs.SETTING: run, **changes}):
            try:
                yield _Active(run, call, kwargs)
                if top:
                    run.check()  # raises if the run ended and the program caught that exception
            except LMUnexpectedError as error:
                if isinstance(error.__cause__, T0dspyError):
                    raise error.__cause__ from error
                raise
            except AdapterParseError as error:
                if call is not None:
                    inference = call.inferences[-1].inference_id if call.inferences else None
                    vars(error).setdefault("t0dspy_stage", (call.predictor.path, inference))
                raise


class _Active:
    """A call in progress."""

    def __init__(self, run: Run, call: PredictorCall | None, kwargs: Mapping[str, Any]) -> None:
        self.run, self.call, self.kwargs = run, call, kwargs

    def mark(self, prediction: Any) -> Any:
        """Set `inference_id`, `episode_id` and `variant` as attributes of `prediction`, not as fields; return it."""
        if not isinstance(prediction, dspy.Prediction) or "episode_id" in vars(prediction):
            return prediction
        last = self.call.inferences[-1] if self.call is not None and self.call.inferences else None
        known = {
            "inference_id": last.inference_id if last else None,
            "episode_id": last.episode_id if last else self.run.episode,
            "variant": self.run.served.version,
        }
        vars(prediction).update({name: value for name, value in known.items() if name not in prediction._store})
        return prediction


class _Hook(_Base):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        module = self.module()
        with self.active(module, kwargs) as active:
            return active.mark(self.method(module)(*args, **active.kwargs))


class _AsyncHook(_Base):
    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        module = self.module()
        with self.active(module, kwargs) as active:
            return active.mark(await self.method(module)(*args, **active.kwargs))


class _Plain:
    """Calls the class's method, in a copy that is not deployed."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        module = _calling_module(self) or (dspy.settings.caller_modules or [None])[-1]
        return getattr(type(module), self.name)(module, *args, **kwargs)


def _calling_module(hook: Any) -> dspy.Module | None:
    callers = dspy.settings.caller_modules or []
    module = callers[-1] if callers else None
    return module if module is not None and vars(module).get(hook.name) is hook else None
