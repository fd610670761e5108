"""Composes operations until what they make of the arguments is what the examples say."""

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from examples.spec_to_review.offline.operations import OPERATIONS, Operation, fits, kind_of

SHALLOW, DEEP = (2, 500), (4, 5000)
"""Operations in a composition, and compositions that are tried."""
_WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_LONGEST = 5000
"""Of a value on the way."""


@dataclass(frozen=True)
class Goal:
    """What is looked for."""

    parameters: tuple[str, ...]
    examples: tuple[tuple[str, str], ...]
    """Arguments as a literal tuple, and the result."""
    requirements: str
    """In lower case."""
    guard: str | None
    """What comes out where nothing is left, as a literal; None where that is unknown."""
    deep: bool
    code_seen: str


@dataclass(frozen=True)
class _Move:
    code: str
    operation: Operation
    weight: float
    act: Callable[[Any, Any], Any]


@dataclass(frozen=True)
class _State:
    values: tuple[Any, ...]
    moves: tuple[_Move, ...]
    weight: float


@lru_cache(maxsize=10_000)
def found(goal: Goal) -> tuple[str, ...] | None:
    """The lines over `it`, one operation each; None when nothing that was tried agrees with the examples.

    Shorter compositions come first, and of equally long ones those that the requirements call for.
    """
    arguments = [ast.literal_eval(text) for text, _ in goal.examples]
    wanted = [ast.literal_eval(text) for _, text in goal.examples]
    second = [one[1] if len(one) > 1 else None for one in arguments]
    search = _Search(goal, second, wanted)
    return search.through(_State(tuple(one[0] for one in arguments), (), 0.0)) if arguments else None


class _Search:
    def __init__(self, goal: Goal, second: Sequence[Any], wanted: Sequence[Any]) -> None:
        self.second, self.wanted = second, wanted
        self.guard: Any = ast.literal_eval(goal.guard) if goal.guard is not None else ...
        self.depth, self.left = DEEP if goal.deep else SHALLOW
        self.moves = _moves(goal)
        self.seen: set[str] = set()

    def through(self, start: _State) -> tuple[str, ...] | None:
        layer = [start]
        for _ in range(self.depth):
            following: list[_State] = []
            best: _State | None = None
            for state in layer:
                for after, reached in self._after(state):
                    if reached and (best is None or after.weight > best.weight):
                        best = after
                    following.append(after)
                if self.left <= 0:
                    break
            if best is not None:
                return tuple(move.code for move in best.moves)
            layer = sorted(following, key=lambda one: -one.weight)[:200]
        return None

    def _after(self, state: _State) -> Iterator[tuple[_State, bool]]:
        kind = next((found for value in state.values if (found := kind_of(value)) != "list"), "list")
        for move in self.moves:
            if self.left <= 0 or not fits(move.operation, kind):
                continue
            self.left -= 1
            values = [_done(move, value, at) for value, at in zip(state.values, self.second, strict=True)]
            after = _State(tuple(values), (*state.moves, move), state.weight + move.weight)
            reached = all(map(self._is, values, state.values, self.wanted))
            if reached:
                yield after, True
            elif _FAILED not in values and self._is_new(values):
                yield after, False

    def _is(self, value: Any, before: Any, wanted: Any) -> bool:
        if self.guard is not ... and not before and not isinstance(before, int):
            value = self.guard
        return type(value) is type(wanted) and bool(value == wanted)

    def _is_new(self, values: Sequence[Any]) -> bool:
        key = repr(values)
        if key in self.seen or len(key) > _LONGEST:
            return False
        self.seen.add(key)
        return True


class _Failed:
    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = None  # type: ignore[assignment]


_FAILED = _Failed()


def _done(move: _Move, value: Any, second: Any) -> Any:
    try:
        return move.act(value, second)
    except (TypeError, ValueError, IndexError, KeyError, ZeroDivisionError, AttributeError, OverflowError):
        return _FAILED


@lru_cache(maxsize=2000)
def _compiled(code: str) -> Callable[[Any, Any], Any]:
    made: Callable[[Any, Any], Any] = eval(f"lambda it, k: {code}", {})  # noqa: S307  (our own operations)
    return made


def _moves(goal: Goal) -> list[_Move]:
    constants = _constants(goal)
    moves = []
    for operation in OPERATIONS:
        called = operation.called_for(goal.requirements)
        shown = bool(goal.code_seen) and operation.seen_in(goal.code_seen)
        if operation.words and not called and not shown:
            continue
        weight = min(called, 3) + 0.5 * shown
        choices = constants if operation.has_constant else [""]
        moves += [
            _Move(operation.code.replace("{c}", c), operation, weight, _compiled(operation.code.replace("{c}", c)))
            for c in choices
        ]
    return sorted(moves, key=lambda one: -one.weight)


def _constants(goal: Goal) -> list[str]:
    digits = re.findall(r"-?\b[0-9]{1,9}\b", goal.requirements)
    told = [str(int(one)) for one in digits]  # `007` is no Python
    told += [str(_WORDS[one]) for one in goal.requirements.split() if one in _WORDS]
    second = ["k"] if len(goal.parameters) > 1 else []
    return list(dict.fromkeys([*second, *told, "2", "0"]))[:6]
