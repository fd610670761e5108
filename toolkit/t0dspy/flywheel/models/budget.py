"""What a run may spend, and what it has: calls of models and their cost."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from t0dspy.errors import OptimizeError, SettingsError, T0dspyError

PATIENCE = 10
"""Failed calls in a row, each retried, after which a model is taken to be gone."""


class Stop(BaseException):
    """Ends an optimizer's run; no `except Exception`, of DSPy or of a program, holds it up."""

    def __init__(self, why: T0dspyError | None = None) -> None:
        """`why` is the error it ends with; None when a budget ended."""
        super().__init__(str(why or "the budget ended"))
        self.why = why


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens."""

    input: float
    output: float


@dataclass(frozen=True)
class Budget:
    """What may be spent; None for no limit."""

    calls: int | None = None
    cost: float | None = None


@dataclass(frozen=True)
class Spent:
    """What was spent, answers taken from the cache of the same run included: they were paid for once."""

    calls: int = 0
    fresh: int = 0
    """Of the calls, those that this process made."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    """US dollars; None when a model has no price."""
    by_model: Mapping[str, int] = field(default_factory=dict)
    """Calls by model."""


class Ledger:
    """Counts each distinct answer once, fresh or kept by an earlier process of the run, and stops at the budget.

    A resumed run meets its limits where the first one would have, since kept answers count as they are used.
    """

    def __init__(self, prices: Mapping[str, Price] | None = None, budget: Budget | None = None) -> None:
        """`prices` by DSPy's name of the model.

        Raises:
            SettingsError: a limit of cost, and no prices.
        """
        self.prices, self.budget = dict(prices or {}), budget or Budget()
        if self.budget.cost is not None and not self.prices:
            raise SettingsError(
                "a limit of cost needs prices: write prices = { 'openai/x' = { input = 0.15, output = 0.6 } }, "
                "in US dollars for a million tokens, in the program's settings."
            )
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._spent = Spent(cost=0.0 if self.prices else None)
        self._over: Stop | None = None
        self._in_flight = 0
        self._failures = 0
        self.part = 0
        """Which part of the run spends now; a model of an earlier part may not."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "Ledger":
        return self

    @property
    def spent(self) -> Spent:
        """What was spent so far."""
        with self._lock:
            return replace(self._spent, by_model=dict(self._spent.by_model))

    def check(self, model: str, part: int) -> None:
        """Raises why no further call of `model`, which belongs to a `part` of the run, may be made.

        Raises:
            Stop: the budget ended, something went wrong for good, or the cost is limited and the model has no price.
        """
        with self._lock:
            self._check_part(part)
            if self.budget.cost is not None and model not in self.prices:
                self._over = Stop(SettingsError(f"a limit of cost needs the price of {model!r}, which `prices` lacks."))
                raise self._over
            if self._reached():
                self._over = Stop()
                raise self._over
            self._in_flight += 1

    def nothing_came(self) -> None:
        """A call that was checked is over without an answer."""
        with self._lock:
            self._in_flight -= 1

    def failed(self, model: str, error: BaseException, *, for_good: bool) -> None:
        """A call failed, all its retries included.

        Raises:
            Stop: for good, or it was the last of ten failures with no answer between.
        """
        with self._lock:
            self._failures += 1
            if for_good or self._failures >= PATIENCE:
                self._over = self._over or Stop(nothing_answers(model, error))
                raise self._over from error

    def count(self, key: str, model: str, tokens: tuple[int, int], *, fresh: bool) -> None:
        """Count an answer, unless it was counted; a fresh one ends its call in the same moment.

        Between the two a call would be neither under way nor counted, and others could pass the limit.
        """
        with self._lock:
            self._in_flight -= fresh
            self._failures = 0 if fresh else self._failures
            if key in self._seen:
                return
            self._seen.add(key)
            self._spent = _added(self._spent, model, tokens, self.prices.get(model), fresh=fresh)

    def fits(self, key: str, part: int) -> None:
        """Raises `Stop` where a kept answer, not counted so far, is beyond the budget.

        Raises:
            Stop: it is.
        """
        with self._lock:
            self._check_part(part)
            if key not in self._seen and self._reached():
                self._over = Stop()
                raise self._over

    def allow(self, budget: Budget) -> None:
        """Begin the next part of the run, with another budget.

        Threads that an optimizer left behind when it was stopped have the models of the part before, and stay stopped.
        """
        with self._lock:
            self.budget = budget
            self.part += 1
            if self._over is not None and self._over.why is None:
                self._over = None

    def _check_part(self, part: int) -> None:
        if self._over is not None:
            raise self._over
        if part != self.part:
            raise Stop

    def _reached(self) -> bool:
        calls, cost = self.budget.calls, self.budget.cost
        if calls is not None and self._spent.calls + self._in_flight >= calls:
            return True
        return cost is not None and (self._spent.cost or 0.0) >= cost


def _added(spent: Spent, model: str, tokens: tuple[int, int], price: Price | None, *, fresh: bool) -> Spent:
    cost = spent.cost
    if cost is not None and price is not None:
        cost += (tokens[0] * price.input + tokens[1] * price.output) / 1e6
    return Spent(
        calls=spent.calls + 1,
        fresh=spent.fresh + fresh,
        input_tokens=spent.input_tokens + tokens[0],
        output_tokens=spent.output_tokens + tokens[1],
        cost=cost,
        by_model={**spent.by_model, model: spent.by_model.get(model, 0) + 1},
    )


def nothing_answers(model: str, error: BaseException) -> OptimizeError:
    """The error of a model that will not answer, whatever is asked."""
    return OptimizeError(f"the model {model!r} does not answer: {type(error).__name__}: {str(error)[:300]}")
