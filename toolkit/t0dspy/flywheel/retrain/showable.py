"""Which examples an optimizer may show in prompts: what it trains on, it shows to the model and to the prompt model."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from t0dspy.flywheel.curate.options import CurateOptions
from t0dspy.flywheel.curate.raters import is_vouched_for
from t0dspy.flywheel.curate.screen import COMMENT_CHARACTERS, hidden, screen, screen_value, texts_of
from t0dspy.flywheel.example import PulledExample


def showable(
    train: Iterable[PulledExample], own: Collection[int], options: CurateOptions, counts: Counter[str]
) -> list[PulledExample]:
    """Return the training examples that may be shown, without the comments that may not.

    Examples that may not be shown still validate and judge where they are in those sets, since no prompt shows those.

    Args:
        train: the training set.
        own: the `id()` of the examples of the user's own files, which are trusted text.
        options: the options of curation.
        counts: counts what is left out, by reason.
    """
    kept = []
    for one in train:
        reason = None if id(one) in own else _refused(one, options)
        if reason:
            counts[f"train: {reason}"] += 1
        else:
            kept.append(one if id(one) in own else _commented(one, counts))
    return kept


def note_hidden(own: Sequence[PulledExample]) -> list[str]:
    """Return a note where examples of the user's own files hold control or invisible characters."""
    number = sum(any(map(hidden, texts_of([one.inputs, one.outputs]))) for one in own)
    if not number:
        return []
    return [
        f"{number:,} of the {len(own):,} examples in your own files hold control or invisible characters. They are "
        "used as they are, so look at them before their text is shipped in a prompt."
    ]


def _refused(one: PulledExample, options: CurateOptions) -> str | None:
    if options.corrections == "trusted" and not is_vouched_for(one, options):
        return "no trusted rater corrected it or rated it well"
    return screen_value([one.inputs, one.outputs], options.demo_characters)


def _commented(one: PulledExample, counts: Counter[str]) -> PulledExample:
    comments = []
    for comment in one.comments:
        reason = screen(comment, COMMENT_CHARACTERS)
        if reason:
            counts[f"a comment: {reason}"] += 1
        else:
            comments.append(comment)
    return replace(one, comments=comments) if len(comments) < len(one.comments) else one
