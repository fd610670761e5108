"""Which predictors and modules of a program stay in Python, given the paths that the user names."""

from collections.abc import Sequence
from typing import cast

import dspy

from t0dspy.errors import CompileError


class Kept:
    """The predictors and modules of a program that stay in Python; each covers what is inside it."""

    def __init__(self, program: dspy.Module, keep: Sequence[str]) -> None:
        """Find the modules at the paths `keep`.

        Raises:
            CompileError: a path is that of no module.
        """
        known = paths_of(program)
        for path in keep:
            if path not in known:
                raise CompileError.because(
                    f"--keep {path}", "is no predictor or module of the program.", f"There are {', '.join(known)}."
                )
        named = [(path, module) for path, module in known.items() if path in keep]
        self._inside: set[int] = set()
        self.modules: dict[str, dspy.Module] = {}
        """Path -> module; none is inside another."""
        for path, module in named:  # DSPy lists a module before those inside it
            if id(module) not in self._inside:
                self.modules[path] = module
                self._inside |= {id(inner) for inner in paths_of(module).values()}

    def covers(self, module: dspy.Module) -> bool:
        """Return whether `module` stays in Python."""
        return id(module) in self._inside


def paths_of(program: dspy.Module) -> dict[str, dspy.Module]:
    """Return path -> module for `program` and all modules inside it, frozen and hidden ones included.

    A predictor that DSPy lists has DSPy's path of predictors, which differs from its path of modules in dicts.
    """
    own = {id(predict): path for path, predict in program.named_predictors()}
    modules = cast("list[tuple[str, dspy.Module]]", list(program.named_sub_modules(dspy.Module)))
    return {own.get(id(module), location.removeprefix("self.")): module for location, module in modules}


def predictors_in(program: dspy.Module) -> dict[str, dspy.Predict]:
    """Return path -> predictor for all predictors of `program`, frozen and hidden ones included."""
    return {path: module for path, module in paths_of(program).items() if isinstance(module, dspy.Predict)}
