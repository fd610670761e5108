"""All errors that t0dspy raises for expected failures.

    T0dspyError                 exit 1: an expected failure
    ├── SettingsError           a setting is missing, unknown or of the wrong type
    ├── ProgramError            the DSPy program could not be found or loaded
    │   ├── CompileError        a predictor cannot be compiled, with reason and remedy
    │   ├── StateError          a saved state does not fit the program
    │   └── ContractError       the program's contract is unknown or would change
    ├── BundleError             generated files could not be written safely
    │   └── HandEditedError     a generated file was edited by hand
    ├── GatewayError            TensorZero rejected a config or a request, or is not available
    │   ├── GatewayUnreachableError  the connection failed; nothing was sent
    │   ├── AnswerNotParsedError  the model's answer does not contain the output fields
    │   └── ProgramRunError     the code of a served program raised an exception
    ├── RunError                a run of a deployed program was stopped or timed out
    ├── WarehouseError          ClickHouse rejected a query, or is not available
    ├── SetStateError           the file that records the split is damaged or cannot be written
    ├── StackError              the embedded stack could not start, stop or reload
    ├── MetricError             a metric cannot be loaded, or returns no score
    ├── RetrainError            a retrain cannot start or continue: another one is running, or its inputs changed
    ├── OptimizeError           no result: the model does not answer, or all scores are 0
    ├── RolloutError            the gateway does not serve the written config
    │   └── UnconfirmedError    the config is written, but no gateway confirmed it
    ├── WireInequalityError     exit 4: the gateway would send other requests than DSPy
    └── RunInequalityError      exit 4: the served program would run differently than in DSPy

Exceptions of other libraries are converted to one of these, with the original as `__cause__`.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from localkit.errors import LocalError


class T0dspyError(Exception):
    """An expected failure; the message has the reason, the value and the remedy."""

    exit_code = 1


@contextmanager
def translate_local_errors(kind: type[T0dspyError]) -> Iterator[None]:
    """Convert a LocalError of `localkit` within the block to `kind`, with the same message."""
    try:
        yield
    except LocalError as error:
        raise kind(str(error)) from error


class SettingsError(T0dspyError):
    """A setting is missing, unknown or of the wrong type."""


class ProgramError(T0dspyError):
    """The DSPy program could not be found or loaded."""


@dataclass(frozen=True)
class Refusal:
    """A part of a program that cannot be compiled, with the reason and the remedy."""

    location: str
    """The predictor, or its field."""
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{shown(self.location)}: {self.reason} {self.remedy}"


def shown(location: str) -> str:
    """Return `location` for a message; DSPy calls a program that is a single predictor `self`."""
    return re.sub(r"^self(?=,|$)", "the predictor", location)


class CompileError(ProgramError):
    """One or more predictors cannot be compiled; `refusals` has each location, reason and remedy."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        """Create the error for all `refusals`, in the order of the program."""
        self.refusals = tuple(refusals)
        lead = "this program cannot be compiled:\n  " if len(refusals) > 1 else "cannot compile "
        super().__init__(lead + "\n  ".join(map(str, refusals)))

    @classmethod
    def because(cls, location: str, reason: str, remedy: str) -> Self:
        """Return an error with a single refusal."""
        return cls([Refusal(location, reason, remedy)])


class StateError(ProgramError):
    """A saved state does not fit the program."""


class ContractError(ProgramError):
    """The program's contract is unknown, or this export would change it."""


class BundleError(T0dspyError):
    """Generated files could not be written safely."""


class HandEditedError(BundleError):
    """A generated file was edited by hand, so it is not overwritten or not usable."""


class GatewayError(T0dspyError):
    """TensorZero rejected a config or a request, or is not available."""


class GatewayUnreachableError(GatewayError):
    """The connection to the gateway failed, so nothing was sent and a retry is safe."""


class AnswerNotParsedError(GatewayError):
    """The model answered, but DSPy's parser does not find the output fields in the answer."""

    def __init__(self, message: str, inference: str | None = None, episode: str | None = None) -> None:
        """Create the error, with the ids of the inference and its episode if the answer was stored."""
        super().__init__(message)
        self.inference, self.episode = inference, episode


class ProgramRunError(GatewayError):
    """The code of a program raised an exception on the program server."""


class RunError(T0dspyError):
    """A run of a deployed program was stopped, timed out, or did something that cannot be served."""


class WarehouseError(T0dspyError):
    """ClickHouse rejected a query, or is not available."""


class SetStateError(T0dspyError):
    """The file that records the split of examples is damaged, or cannot be written."""


class StackError(T0dspyError):
    """The embedded stack could not start, stop or reload."""


class MetricError(T0dspyError):
    """A metric cannot be loaded, or returns something that is not a score."""


class RetrainError(T0dspyError):
    """A retrain cannot start or continue: another one is running, or its inputs have changed."""


class OptimizeError(T0dspyError):
    """An optimization, evaluation or promotion test has no result: the model does not answer, or all scores are 0."""


class NothingProposedError(OptimizeError):
    """None of the prompt model's answers could be parsed; a run that resumes with them would fail again."""


class RolloutError(T0dspyError):
    """The gateway does not serve the written config; the message has what it serves instead."""


class UnconfirmedError(RolloutError):
    """The config is written, but the gateway could not be reached to confirm it; nothing was undone."""


class WireInequalityError(T0dspyError):
    """The gateway would send other requests to the provider than DSPy."""

    exit_code = 4


class RunInequalityError(T0dspyError):
    """The served program would make other requests, or end differently, than the program in DSPy."""

    exit_code = 4
