"""What a prompt model was asked to propose, and how often nothing that can be used came back."""

from t0dspy.errors import NothingProposedError
from t0dspy.flywheel.models.budget import Stop

PATIENCE = 10
"""Failed proposals, without a single success, after which a search that proposes again and again is ended."""

_EXCERPT = 300


class Proposals:
    """Counts the proposals of one search.

    An optimizer of DSPy logs a failed proposal and goes on, so that a search in which every proposal failed looks like
    one that found nothing better.
    """

    def __init__(self, optimizer: str) -> None:
        """`optimizer` is the name that messages use, such as `gepa`."""
        self.optimizer = optimizer
        self.made = 0
        self.reasons: list[str] = []

    def made_one(self) -> None:
        """Count a proposal that can be read."""
        self.made += 1

    def failed(self, error: BaseException | str) -> None:
        """Count a proposal that failed, and keep an excerpt of the reason."""
        said = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        self.reasons.append(" ".join(said.split())[:_EXCERPT])

    def check_patience(self, calls: int) -> None:
        """Raise `Stop` if the first ten proposals all failed: the rest would be paid for in vain.

        Args:
            calls: calls of models so far, for the message.
        """
        if not self.made and len(self.reasons) >= PATIENCE:
            raise Stop(self._nothing(calls))

    def check(self, calls: int) -> None:
        """Raise if nothing could be proposed.

        Args:
            calls: calls of models so far, for the message.

        Raises:
            NothingProposedError: at least one proposal was asked for, and every one failed.
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
