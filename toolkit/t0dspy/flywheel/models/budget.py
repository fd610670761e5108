"""Limit and count the model calls of a run and their cost."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from t0dspy.errors import OptimizeError, SettingsError, T0dspyError

PATIENCE = 10
"""A run ends after this many failures in a row: of calls, each with its retries, or of its first proposals."""


class Stop(BaseException):
    """Ends an optimizer's run.

    It is a BaseException, so that no `except Exception` of DSPy or of a program catches it.
    """

    def __init__(self, why: T0dspyError | None = None) -> None:
        """`why` is the error to report; None if a budget ended."""
        super().__init__(str(why or "the budget ended"))
        self.why = why


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float


@dataclass(frozen=True)
class Budget:
    """The most that a run may spend; None for no limit."""

    calls: int | None = None
    cost: float | None = None


@dataclass(frozen=True)
class Spent:
    """What a run spent, including stored answers of the same run, which were paid for once."""

    calls: int = 0
    fresh: int = 0
    """The calls that this process made."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    """US dollars; None if a model has no price."""
    by_model: Mapping[str, int] = field(default_factory=dict)
    """Model -> its calls."""


class Ledger:
    """Counts each distinct answer once, whether it is fresh or stored by an earlier process, and stops at the budget.

    Stored answers count when they are used, so a resumed run reaches its limits at the same point as the first one.
    """

    def __init__(self, prices: Mapping[str, Price] | None = None, budget: Budget | None = None) -> None:
        """Count against `budget`, with `prices` by DSPy's name of the model.

        Raises:
            SettingsError: the cost is limited, and there are no prices.
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
        """The part of the run that may spend now; models of earlier parts may not."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "Ledger":
        return self

    @property
    def spent(self) -> Spent:
        """Return what was spent so far."""
        with self._lock:
            return replace(self._spent, by_model=dict(self._spent.by_model))

    def reserve(self, model: str, part: int) -> None:
        """Reserve a call of `model`, which belongs to a `part` of the run; end it with `count` or `release`.

        Raises:
            Stop: the budget ended, a permanent error occurred, or the cost is limited and the model has no price.
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

    def release(self) -> None:
        """Release a reserved call that ended without an answer."""
        with self._lock:
            self._in_flight -= 1

    def record_failure(self, model: str, error: BaseException, *, for_good: bool) -> None:
        """Record a call that failed after all its retries.

        Raises:
            Stop: the failure is permanent, or it is the tenth in a row.
        """
        with self._lock:
            self._failures += 1
            if for_good or self._failures >= PATIENCE:
                self._over = self._over or Stop(no_answer_error(model, error))
                raise self._over from error

    def count(self, key: str, model: str, tokens: tuple[int, int], *, fresh: bool) -> None:
        """Count an answer unless it was counted before; a fresh answer ends its reserved call at the same moment.

        Both happen under one lock. Otherwise the call would for a moment be neither in flight nor counted, and other
        calls
        could exceed the limit.
        """
        with self._lock:
            self._in_flight -= fresh
            self._failures = 0 if fresh else self._failures
            if key in self._seen:
                return
            self._seen.add(key)
            self._spent = _add(self._spent, model, tokens, self.prices.get(model), fresh=fresh)

    def check_kept(self, key: str, part: int) -> None:
        """Check that a stored answer, if it was not counted yet, is within the budget.

        Raises:
            Stop: it is not.
        """
        with self._lock:
            self._check_part(part)
            if key not in self._seen and self._reached():
                self._over = Stop()
                raise self._over

    def start_part(self, budget: Budget) -> None:
        """Start the next part of the run with another budget.

        Threads that a stopped optimizer left behind use the models of the previous part, so they stay stopped.
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


def _add(spent: Spent, model: str, tokens: tuple[int, int], price: Price | None, *, fresh: bool) -> Spent:
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


def no_answer_error(model: str, error: BaseException) -> OptimizeError:
    """Return the error for a model that does not answer."""
    return OptimizeError(f"the model {model!r} does not answer: {type(error).__name__}: {str(error)[:300]}")
