"""The screen: which text of production may stand in a prompt.

A demo, an instruction and a comment for the prompt model are read by the same model that reads the prompt around them.
So a text does not pass if it looks like the structure of a prompt, if a person who reviews it cannot see all of it, or
if it is too long to be reviewed. `screen` is a pure function of a text.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from t0dspy.compiler.delimiters import NAMES, skeleton

CONTROL = "it holds control or invisible characters"
MARKUP = "it imitates the structure of a prompt"
LENGTH = "it is too long for a prompt"

COMMENT_CHARACTERS = 2_000
"""The most characters of a comment, which the prompt model reads."""

_ALLOWED = set("\t\n\r\u00ad\u200c\u200d\u200e\u200f\u061c")
"""Of the characters without a shape: line ends, the soft hyphen, joiners, and marks of the direction."""

_JOINERS = re.compile(r"(?:^|[\x00-\x7f\u200c\u200d])[\u200c\u200d]|[\u200c\u200d](?=[\x00-\x7f]|$)")
"""A joiner that joins nothing: scripts and emoji have a character that is not ASCII on both of its sides."""

_SELECTORS = re.compile(r"[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2}|[^\W\d][\ufe00-\ufe0f]|^[\ufe00-\ufe0f]")
"""Variation selectors in a row, which can carry any hidden text, or after a letter."""

_FILLERS = set("\u115f\u1160\u3164\uffa0\u034f\u2800")
"""Letters, marks and symbols without a shape."""

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
    """Return why `text` may not stand in a prompt; None where it may.

    Args:
        text: any text.
        characters: the most that it may have; 0 for any number.
    """
    if characters and len(text) > characters:
        return LENGTH
    if hidden(text):
        return CONTROL
    shown = skeleton(text)
    return MARKUP if _STRUCTURE.search(shown) or _STRUCTURE.search(_unblanked(shown)) else None


def hidden(text: str) -> bool:
    """Return whether `text` holds control characters, or others that a person cannot see."""
    if text.isascii():
        return any((char < " " and char not in _ALLOWED) or char == "\x7f" for char in text)
    return bool(_JOINERS.search(text) or _SELECTORS.search(text)) or any(map(_unseen, text))


def screen_value(value: Any, characters: int = 0) -> str | None:
    """Return why a JSON value may not stand in a prompt: its texts one by one, keys of objects too, and their length.

    Args:
        value: any JSON value.
        characters: the most that all texts may have together; 0 for any number.
    """
    texts = list(texts_of(value))
    if characters and sum(map(len, texts)) > characters:
        return LENGTH
    return next((reason for reason in map(screen, texts) if reason), None)


def texts_of(value: Any) -> Iterator[str]:
    """Return all texts in a value, keys of objects among them."""
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
    """`text` without the blanks around what opens and closes a tag, so that `[ [ # # x` is found too."""
    return re.sub(r"[ \t]+(?=[#\[\]|<>/])|(?<=[#\[\]|<>/])[ \t]+", "", text)


def _unseen(char: str) -> bool:
    if char in _ALLOWED or char == " ":
        return False
    # Not all of category Cn: Python's tables of Unicode may be older than an emoji.
    number = ord(char)
    no_character = number & 0xFFFE == 0xFFFE or 0xFDD0 <= number <= 0xFDEF or 0xE0000 <= number <= 0xE00FF
    return no_character or char in _FILLERS or unicodedata.category(char) in ("Cc", "Cf", "Cs")
