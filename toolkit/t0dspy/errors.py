"""Every error t0dspy raises on purpose.

    T0dspyError                 exit 1: one clear message
    ├── SettingsError           a setting is missing, unknown or of the wrong kind
    ├── ProgramError            the DSPy program could not be found or loaded
    │   ├── CompileError        a predictor cannot be compiled; says which, why and what to do
    │   ├── StateError          a saved state does not fit the program
    │   └── ContractError       what the program promises its callers is unknown or would change
    ├── BundleError             generated files could not be written safely
    │   └── HandEditedError     a generated file was changed by hand
    ├── GatewayError            TensorZero refused a config or a request, or is not there
    │   ├── GatewayUnreachableError  nothing answers at its address; nothing was sent
    │   ├── AnswerNotParsedError  the model answered, but its answer does not hold the output fields
    │   └── ProgramRunError     the code of a served program raised an exception
    ├── RunError                a run of a deployed program could not go on
    ├── WarehouseError          ClickHouse refused a query, or is not there
    ├── SetStateError           the file that keeps training and judging apart is damaged or cannot be written
    ├── StackError              the embedded stack could not start, stop or reload
    ├── MetricError             a metric cannot be loaded, or gives no score
    ├── RetrainError            a retrain cannot begin or go on: another one runs, or something changed meanwhile
    ├── OptimizeError           optimizing came to nothing: the model does not answer, or all scores are 0
    ├── RolloutError            the gateway does not serve what is written; says what it serves instead
    │   └── UnconfirmedError    the config is written, and no gateway confirmed it; nothing was undone
    └── WireInequalityError     exit 4: the gateway would send something else than DSPy does

Foreign exceptions become one of these at the door they come in by, with the original kept as `__cause__`.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from localkit.errors import LocalError


class T0dspyError(Exception):
    """Something expected went wrong; the message says what, with which value, and what to do next."""

    exit_code = 1


@contextmanager
def translate_local_errors(kind: type[T0dspyError]) -> Iterator[None]:
    """Raise `kind`, with the same message, for a LocalError of `localkit` within the block."""
    try:
        yield
    except LocalError as error:
        raise kind(str(error)) from error


class SettingsError(T0dspyError):
    """A setting is missing, unknown or of the wrong kind."""


class ProgramError(T0dspyError):
    """The DSPy program could not be found or loaded."""


@dataclass(frozen=True)
class Refusal:
    """One thing about a program that cannot be compiled."""

    where: str
    """The predictor, or its field."""
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{shown(self.where)}: {self.reason} {self.remedy}"


def shown(where: str) -> str:
    """`where` as a reader knows it: a program that is one predictor is called `self` by DSPy."""
    return re.sub(r"^self(?=,|$)", "the predictor", where)


class CompileError(ProgramError):
    """One or more predictors cannot be compiled; `refusals` says which, why, and what to do."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        """Keeps `refusals`, all that were found, in the order of the program."""
        self.refusals = tuple(refusals)
        lead = "this program cannot be compiled:\n  " if len(refusals) > 1 else "cannot compile "
        super().__init__(lead + "\n  ".join(map(str, refusals)))

    @classmethod
    def because(cls, where: str, reason: str, remedy: str) -> Self:
        """An error with a single refusal."""
        return cls([Refusal(where, reason, remedy)])


class StateError(ProgramError):
    """A saved state does not fit the program."""


class ContractError(ProgramError):
    """What the program promises its callers is unknown, or this export would change it."""


class BundleError(T0dspyError):
    """Generated files could not be written safely."""


class HandEditedError(BundleError):
    """A generated file that this export would rewrite was changed by hand."""


class GatewayError(T0dspyError):
    """TensorZero refused a config or a request, or is not there."""


class GatewayUnreachableError(GatewayError):
    """No connection to the gateway could be made, so nothing was sent and asking again is safe."""


class AnswerNotParsedError(GatewayError):
    """The model answered, but DSPy's parser does not find the output fields in its answer."""

    def __init__(self, message: str, inference: str | None = None, episode: str | None = None) -> None:
        """Keep the ids of the inference and its episode, where the answer was stored as an inference."""
        super().__init__(message)
        self.inference, self.episode = inference, episode


class ProgramRunError(GatewayError):
    """The code of a program that the program server ran raised an exception."""


class RunError(T0dspyError):
    """A run of a deployed program was stopped, met its deadline, or did something that cannot be served."""


class WarehouseError(T0dspyError):
    """ClickHouse refused a query, or is not there."""


class SetStateError(T0dspyError):
    """The file that keeps training and judging apart is damaged, or could not be written."""


class StackError(T0dspyError):
    """The embedded stack could not start, stop or reload."""


class MetricError(T0dspyError):
    """A metric cannot be loaded, or gives something that is no score."""


class RetrainError(T0dspyError):
    """A retrain cannot begin or go on: another one is running, or what it began with has changed."""


class OptimizeError(T0dspyError):
    """Optimizing, evaluating or judging came to nothing: the model does not answer, or every score is 0."""


class NothingProposedError(OptimizeError):
    """None of the prompt model's answers could be read; a run that was resumed with them would fail again."""


class RolloutError(T0dspyError):
    """The gateway does not serve what is written; the message says what it serves instead."""


class UnconfirmedError(RolloutError):
    """The config is written, but the gateway could not be reached to confirm it; nothing was undone."""


class WireInequalityError(T0dspyError):
    """The gateway would send the provider something else than DSPy does."""

    exit_code = 4
