"""Deploy a module by replacing its `forward` and `aforward` with hooks, which are instance attributes.

DSPy's `Module.__call__` and `Predict.forward` still handle callbacks, caller modules, usage and traces. A copy that is
made during a run (BestOfN, Refine) stays deployed; any other copy, such as an optimizer's, is not deployed.
"""

import types
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import dspy

from t0dspy.compiler.adapters import served_adapter
from t0dspy.runtime.adapter import Binding, GatewayAdapter
from t0dspy.runtime.run import SETTING, Run, current_run

_METHODS = ("forward", "aforward")


class Deployment(Protocol):
    """Begins the runs of a deployed module."""

    lm: dspy.LM

    def begin(self) -> Run:
        """Begin the run of a new top-level call."""


def hook(module: dspy.Module, deployment: Deployment, binding: Binding | None) -> None:
    """Deploy `module` in place, as the predictor of `binding`, or as a program of predictors if `binding` is None."""
    for name in _METHODS:
        if hasattr(type(module), name):
            kind = _AsyncHook if name == "aforward" else _Hook
            vars(module)[name] = kind(name, module, deployment, binding)


class _Base:
    """A hook; it finds the called module, which may be a copy of the module that was hooked."""

    def __init__(self, name: str, module: dspy.Module, deployment: Deployment, binding: Binding | None) -> None:
        self.name, self.deployment, self.binding = name, deployment, binding
        self._module = weakref.ref(module)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if dspy.settings.caller_modules:
            return self
        copied = memo.get(id(self._module()))
        if copied is None:  # DSPy's fallback copies attribute by attribute
            return _Plain(self.name)
        return types.MethodType(getattr(type(copied), self.name), copied)

    def __reduce__(self) -> Any:
        return _Plain, (self.name,)  # connections cannot be pickled, so an unpickled program is not deployed

    def method(self) -> Callable[..., Any]:
        """Return the replaced method of the module's class, bound to the called module."""
        module = _calling_module(self) or self._module()
        if module is None:
            raise RuntimeError(f"the module of this {self.name} is gone")
        return types.MethodType(getattr(type(module), self.name), module)

    @contextmanager
    def active(self) -> Iterator[Run]:
        """Set DSPy's settings for one call, and yield its run."""
        run = current_run()
        if run is None or run.owner is not self.deployment:  # a deployed program may call another one
            run = self.deployment.begin()
        changes: dict[str, Any] = {SETTING: run}
        if self.binding is not None:
            changes |= {"adapter": GatewayAdapter(binding=self.binding), "lm": self.deployment.lm}
        else:  # code between predictors may format text with the adapter, as ReAct does with its trajectory
            changes |= {"adapter": served_adapter(run.served.form), "lm": dspy.settings.lm or self.deployment.lm}
        with dspy.context(**changes):
            yield run


class _Hook(_Base):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self.active() as run:
            return _mark(self.method()(*args, **kwargs), run)


class _AsyncHook(_Base):
    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self.active() as run:
            return _mark(await self.method()(*args, **kwargs), run)


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


def _mark(prediction: Any, run: Run) -> Any:
    """Set `inference_id`, `episode_id` and `variant` as attributes of `prediction`, not as fields, and return it."""
    if not isinstance(prediction, dspy.Prediction) or "episode_id" in vars(prediction):
        return prediction
    store = prediction._store
    inference, episode = store.pop("dspy_inference_id", None), store.pop("dspy_episode_id", None)
    known = {"inference_id": inference, "episode_id": episode or run.episode}
    known["variant"] = store.pop("dspy_variant", None) or run.served.version
    vars(prediction).update({name: value for name, value in known.items() if name not in store})
    return prediction
