"""Language models that store their answers, count their calls, and stop at a budget."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dspy
from dspy.utils.exceptions import (
    ContextWindowExceededError,
    LMAuthError,
    LMBillingError,
    LMConfigurationError,
    LMError,
    LMUnsupportedModelError,
)
from dspy.utils.usage_tracker import UsageTracker

from t0dspy.errors import SettingsError
from t0dspy.flywheel.models.answers import Answer, Answers, request_key
from t0dspy.flywheel.models.budget import Ledger

_FOR_GOOD = (LMAuthError, LMBillingError, LMConfigurationError, LMUnsupportedModelError)
"""Errors that no further call can avoid."""


class CountedLM(dspy.LM):
    """A `dspy.LM` whose calls are counted and whose answers are stored.

    A permanent error (a wrong key, an unknown model) ends the run as `Stop`, because optimizers would count it as a
    score
    of 0. DSPy's own cache is off: answers are stored with the run, as JSON.
    """

    def __init__(self, model: str, ledger: Ledger, answers: Answers, **options: Any) -> None:
        """Create the model; `options` are those of `dspy.LM`."""
        super().__init__(model, **{**options, "cache": False})
        self.ledger, self.answers, self.part = ledger, answers, ledger.part

    def __call__(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        """Return the stored answer, or call the model and store its answer."""
        key = request_key(self.model, prompt, messages, {**self.kwargs, **kwargs})
        kept = self._get_kept(key)
        if kept is not None:
            return kept
        with self._counted_call() as tracker:
            outputs = super().__call__(prompt, messages=messages, **kwargs)
        return self._keep(key, outputs, tracker)

    async def acall(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        """Do the same as `__call__`, asynchronously."""
        key = request_key(self.model, prompt, messages, {**self.kwargs, **kwargs})
        kept = self._get_kept(key)
        if kept is not None:
            return kept
        with self._counted_call() as tracker:
            outputs = await super().acall(prompt, messages=messages, **kwargs)
        return self._keep(key, outputs, tracker)

    def _get_kept(self, key: str) -> list[Any] | None:
        answer = self.answers.get(key)
        if answer is None:
            return None
        self.ledger.check_kept(key, self.part)
        self.ledger.count(key, self.model, (answer.input_tokens, answer.output_tokens), fresh=False)
        return list(answer.outputs)

    @contextmanager
    def _counted_call(self) -> Iterator[UsageTracker]:
        self.ledger.reserve(self.model, self.part)
        tracker = UsageTracker()
        try:
            with dspy.context(usage_tracker=tracker):
                yield tracker
        except BaseException as error:
            self.ledger.release()
            if isinstance(error, LMError):
                self.ledger.record_failure(self.model, error, for_good=isinstance(error, _FOR_GOOD))
            raise

    def _keep(self, key: str, outputs: Any, tracker: UsageTracker) -> Any:
        tokens = _tokens(tracker)
        self.answers.keep(key, Answer(list(outputs), self.model, *tokens))
        self.ledger.count(key, self.model, tokens, fresh=True)
        return outputs


def counted_lm(model: str | Mapping[str, Any], ledger: Ledger, answers: Answers) -> CountedLM:
    """Return the language model that a setting names.

    Args:
        model: DSPy's name, such as `openai/gpt-4o-mini`, or a table of `model` and options of `dspy.LM`.
        ledger: counts its calls.
        answers: stores its answers.

    Raises:
        SettingsError: DSPy refuses the name or an option.
    """
    options = {"model": model} if isinstance(model, str) else dict(model)
    name = options.pop("model", None)
    if not isinstance(name, str) or not name:
        raise SettingsError(f"a model without a name: {model!r}. Write 'openai/gpt-4o-mini', or a table with `model`.")
    try:
        return CountedLM(name, ledger, answers, **options)
    except Exception as error:  # the errors of dspy.LM's checks have no common class
        raise SettingsError(f"dspy.LM does not take the model {name!r}: {error}") from error


def is_lm_failure(error: BaseException) -> bool:
    """Return whether the model or the connection to it failed, not the program or its prompt."""
    return isinstance(error, LMError) and not isinstance(error, ContextWindowExceededError)


def _tokens(tracker: UsageTracker) -> tuple[int, int]:
    entries = [entry for entries in tracker.usage_data.values() for entry in entries]
    sums = [sum(int(entry.get(name) or 0) for entry in entries) for name in ("prompt_tokens", "completion_tokens")]
    return sums[0], sums[1]
