"""Count the instructions that a prompt model proposed, and the proposals that failed."""

from t0dspy.errors import NothingProposedError
from t0dspy.flywheel.models.budget import PATIENCE, Stop

_EXCERPT = 300


class Proposals:
    """Counts the proposals of one search.

    An optimizer of DSPy logs a failed proposal and continues, so a search in which every proposal failed looks like a
    search that found nothing better.
    """

    def __init__(self, optimizer: str) -> None:
        """Count for the optimizer with the name `optimizer`, which messages use."""
        self.optimizer = optimizer
        self.made = 0
        self.reasons: list[str] = []

    def record_success(self) -> None:
        """Count a proposal that can be read."""
        self.made += 1

    def record_failure(self, error: BaseException | str) -> None:
        """Count a failed proposal, and keep an excerpt of the reason."""
        reason = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        self.reasons.append(" ".join(reason.split())[:_EXCERPT])

    def check_patience(self, calls: int) -> None:
        """Raise `Stop` if the first `PATIENCE` proposals all failed, because the rest would cost money in vain.

        Args:
            calls: model calls so far, for the message.
        """
        if not self.made and len(self.reasons) >= PATIENCE:
            raise Stop(self._nothing(calls))

    def check(self, calls: int) -> None:
        """Check that something could be proposed.

        Args:
            calls: model calls so far, for the message.

        Raises:
            NothingProposedError: at least one proposal was requested, and all of them failed.
        """
        if self.reasons and not self.made:
            raise self._nothing(calls)

    def notes(self) -> list[str]:
        """Return a note for the report if some proposals failed and others did not."""
        if not self.reasons or not self.made:
            return []
        counts = f"{len(self.reasons)} of {self.made + len(self.reasons)} proposals of new instructions failed"
        return [f"{counts}, such as: {self.reasons[0]}"]

    def _nothing(self, calls: int) -> NothingProposedError:
        count = len(self.reasons)
        return NothingProposedError(
            f"{self.optimizer} could not propose anything: {count} of {count} proposals of new instructions failed "
            f"({calls:,} calls of models made). The first failure: {self.reasons[0]} Check `prompt_model` in the "
            "program's settings (its answers may be cut off or have another form), and read optimizer.log."
        )
