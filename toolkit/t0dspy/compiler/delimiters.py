"""The delimiters of demos in the system message, which no demo's text can forge."""

import re
import unicodedata
from functools import lru_cache
from itertools import count

NAMES = ("examples", "example", "input", "output")
"""The tags around demos, without what makes them differ from a demo's text."""

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
"""Characters that are not shown: control characters, and what Unicode calls default ignorable."""


def skeleton(text: str) -> str:
    """Return `text` as a reader may take it: no case or width, no characters that are not shown, plain brackets.

    Letters of the tags' names that other scripts have too are Latin ones.
    """
    if not text.isascii():
        text = _UNSEEN.sub("", unicodedata.normalize("NFKC", text)).casefold().translate(_LOOKALIKES)
    return _UNSEEN.sub("", text.casefold())


@lru_cache(maxsize=256)
def mark(text: str) -> str:
    """Return what is appended to the names of the tags, so that no tag stands in `text`, the demos' own.

    It is empty for a text without such tags, and else the first of `-2`, `-3` ... with which no tag stands in the text,
    whatever its case, width, blanks and invisible characters. The same text gives the same mark.
    """
    found = [tag[1] for tag in _TAG.finditer(skeleton(text))]
    held = {_plain(number) for number in found if number}
    return next(f"-{number}" for number in count(2) if str(number) not in held) if found else ""


def _plain(number: str) -> str:
    """`number` in ASCII digits, without leading zeros."""
    return "".join(str(unicodedata.decimal(digit)) for digit in number).lstrip("0")


_TAG = re.compile(rf"<[\s/\\]*(?:{'|'.join(NAMES)})(?:-(\d+)|(?!\w))")
