"""Screen text from production: decide which text may appear in a prompt.

The model that reads a demo, an instruction or a comment also reads the prompt around it. So a text is refused if it
looks like the structure of a prompt, if it contains characters that a reviewer cannot see, or if it is too long to be
reviewed. `screen` is a pure function of a text.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from t0dspy.compiler.delimiters import NAMES, skeleton

CONTROL = "it holds control or invisible characters"
MARKUP = "it contains prompt markup"
LENGTH = "it is too long for a prompt"

COMMENT_CHARACTERS = 2_000
"""The most characters of a comment that the prompt model reads."""

_ALLOWED = set("\t\n\r\u00ad\u200c\u200d\u200e\u200f\u061c")
"""Permitted characters without a visible shape: line ends, the soft hyphen, joiners, and direction marks."""

_JOINERS = re.compile(r"(?:^|[\x00-\x7f\u200c\u200d])[\u200c\u200d]|[\u200c\u200d](?=[\x00-\x7f]|$)")
"""A joiner that joins nothing: in scripts and emoji, the characters on both of its sides are not ASCII."""

_SELECTORS = re.compile(r"[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2}|[^\W\d][\ufe00-\ufe0f]|^[\ufe00-\ufe0f]")
"""Variation selectors in a row, which can carry hidden text, or after a letter."""

_FILLERS = set("\u115f\u1160\u3164\uffa0\u034f\u2800")
"""Letters, marks and symbols without a visible shape."""

_STRUCTURE = re.compile(
    "|".join(
        (
            rf"<[\s/\\]*/[\s/\\]*(?:{'|'.join(NAMES)})(?!\w)",  # ends a demo
            rf"<\s*(?:{'|'.join(NAMES)})(?:-\d+)?\s*>",  # opens one; a tag of HTML has attributes
            r"\[\s*\[\s*#+|#+\s*\]\s*\]",  # [[ ## field ## ]], DSPy's markers of fields
            r"<\s*\|[^<>\n]{0,60}(?:\||>)",  # <|im_start|>, <|eot_id|>, <|start_header_id|> ...
            r"<[^<>\n]{0,60}\|\s*>",
            r"\[\s*/?\s*(?:inst|system_prompt|available_tools|tool_calls|tool_results)\s*\]",
            r"<\s*<\s*/?\s*sys\s*>\s*>",
            r"<\s*/?\s*(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn)\s*>",
            r"<\s*/?\s*(?:system|assistant|instructions?)\s*>",
            r"(?:^|[\n\r\u2028\u2029])\s*#{2,}\s*(?:system|instruction|input|response)\s*:",
            r"«««|»»»",  # DSPy's quotation of passages
        )
    )
)


def screen(text: str, characters: int = 0) -> str | None:
    """Return the reason why `text` may not appear in a prompt; None if it may.

    Args:
        text: any text.
        characters: the most characters that it may have; 0 for no limit.
    """
    if characters and len(text) > characters:
        return LENGTH
    if hidden(text):
        return CONTROL
    shown = skeleton(text)
    return MARKUP if _STRUCTURE.search(shown) or _STRUCTURE.search(_unblanked(shown)) else None


def hidden(text: str) -> bool:
    """Return whether `text` contains control characters or others that a person cannot see."""
    if text.isascii():
        return any((char < " " and char not in _ALLOWED) or char == "\x7f" for char in text)
    return bool(_JOINERS.search(text) or _SELECTORS.search(text)) or any(map(_unseen, text))


def screen_value(value: Any, characters: int = 0) -> str | None:
    """Return the reason why a JSON value may not appear in a prompt; None if it may.

    Every text in the value is screened by itself, including the keys of objects.

    Args:
        value: any JSON value.
        characters: the most characters of all texts together; 0 for no limit.
    """
    texts = list(texts_of(value))
    if characters and sum(map(len, texts)) > characters:
        return LENGTH
    return next((reason for reason in map(screen, texts) if reason), None)


def texts_of(value: Any) -> Iterator[str]:
    """Yield all texts in a value, including the keys of objects."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from texts_of(key)
            yield from texts_of(inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from texts_of(inner)


def _unblanked(text: str) -> str:
    """Return `text` without blanks next to characters that open or close a tag, so that `[ [ # # x` is found too."""
    return re.sub(r"[ \t]+(?=[#\[\]|<>/])|(?<=[#\[\]|<>/])[ \t]+", "", text)


def _unseen(char: str) -> bool:
    if char in _ALLOWED or char == " ":
        return False
    # Not the whole category Cn, because Python's Unicode tables may be older than an emoji.
    number = ord(char)
    no_character = number & 0xFFFE == 0xFFFE or 0xFDD0 <= number <= 0xFDEF or 0xE0000 <= number <= 0xE00FF
    return no_character or char in _FILLERS or unicodedata.category(char) in ("Cc", "Cf", "Cs")
