"""Choose delimiters for the demos in the system message that no demo's text can imitate."""

import re
import unicodedata
from functools import lru_cache
from itertools import count

NAMES = ("examples", "example", "input", "output")
"""The names of the tags around demos, without the suffix that `mark` adds."""

_LOOKALIKES = str.maketrans(
    {
        **dict.fromkeys("‹〈⟨❮❬❰˂ᐸ᚜⧼《", "<"),
        **dict.fromkeys("›〉⟩❯❭❱˃ᐳ᚛⧽》", ">"),
        **dict.fromkeys("∕⁄╱⧸⟋ノ丿", "/"),
        **dict.fromkeys("‐‑‒–—−﹣", "-"),
        **dict.fromkeys("∣❘ǀ￨│", "|"),
        **dict(zip("аеіӏмորхѕтυνοραιε", "aeilmnpxstuvopaie", strict=False)),
    }
)

_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Invisible characters: control characters, and those that Unicode calls default ignorable."""


def skeleton(text: str) -> str:
    """Return `text` without case, width and invisible characters, and with plain brackets.

    Letters of other scripts that look like letters of the tags' names become Latin.
    """
    if not text.isascii():
        text = _UNSEEN.sub("", unicodedata.normalize("NFKC", text)).casefold().translate(_LOOKALIKES)
    return _UNSEEN.sub("", text.casefold())


@lru_cache(maxsize=256)
def mark(text: str) -> str:
    """Return the suffix of the tag names that makes the tags differ from every tag in `text`, the text of the demos.

    The suffix is empty if the text contains no such tag. Otherwise it is the first of `-2`, `-3` ... for which the text
    contains no tag, regardless of case, width, blanks and invisible characters. The same text gives the same suffix.
    """
    suffixes = [tag[1] for tag in _TAG.finditer(skeleton(text))]
    taken = {_plain(number) for number in suffixes if number}
    return next(f"-{number}" for number in count(2) if str(number) not in taken) if suffixes else ""


def _plain(number: str) -> str:
    """Return `number` in ASCII digits, without leading zeros."""
    return "".join(str(unicodedata.decimal(digit)) for digit in number).lstrip("0")


_TAG = re.compile(rf"<[\s/\\]*(?:{'|'.join(NAMES)})(?:-(\d+)|(?!\w))")
