"""Filter the training examples that an optimizer may show in prompts.

An optimizer shows its training examples to the task model and to the prompt model.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from t0dspy.flywheel.curate.options import CurateOptions
from t0dspy.flywheel.curate.raters import is_vouched_for
from t0dspy.flywheel.curate.screen import COMMENT_CHARACTERS, hidden, screen, screen_value, texts_of
from t0dspy.flywheel.example import PulledExample


def filter_showable(
    train: Iterable[PulledExample], user_examples: Collection[int], options: CurateOptions, counts: Counter[str]
) -> list[PulledExample]:
    """Return the training examples that may be shown, without the comments that may not.

    An example that may not be shown stays in the validation set or the holdout, because no prompt shows those.

    Args:
        train: the training set.
        user_examples: the `id()` of each example of the user's own files, whose text is trusted.
        options: the options of curation.
        counts: counts what is left out, by reason.
    """
    kept = []
    for example in train:
        reason = None if id(example) in user_examples else _refusal(example, options)
        if reason:
            counts[f"train: {reason}"] += 1
        else:
            kept.append(example if id(example) in user_examples else _without_refused_comments(example, counts))
    return kept


def note_hidden(user_examples: Sequence[PulledExample]) -> list[str]:
    """Return a note if examples of the user's own files contain control or invisible characters."""
    number = sum(any(map(hidden, texts_of([example.inputs, example.outputs]))) for example in user_examples)
    if not number:
        return []
    return [
        f"{number:,} of the {len(user_examples):,} examples in your own files hold control or invisible characters. "
        "They are used as they are, so look at them before their text is shipped in a prompt."
    ]


def _refusal(example: PulledExample, options: CurateOptions) -> str | None:
    if options.corrections == "trusted" and not is_vouched_for(example, options):
        return "no trusted rater corrected it or rated it well"
    return screen_value([example.inputs, example.outputs], options.demo_characters)


def _without_refused_comments(example: PulledExample, counts: Counter[str]) -> PulledExample:
    comments = []
    for comment in example.comments:
        reason = screen(comment, COMMENT_CHARACTERS)
        if reason:
            counts[f"a comment: {reason}"] += 1
        else:
            comments.append(comment)
    return replace(example, comments=comments) if len(comments) < len(example.comments) else example
