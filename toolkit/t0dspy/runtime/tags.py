"""Parse and check the tags that a user sets on calls and feedback."""

from collections.abc import Iterable, Mapping

from t0dspy.errors import SettingsError
from t0dspy.warehouse.production import BY, TEST

TESTING = {TEST: "true"}
"""The tags of calls that are not production."""

_RESERVED = {
    "tensorzero::": "the gateway writes these tags itself and refuses them",
    "t0dspy::": f"t0dspy writes these tags itself, except {TEST}",
}


def parse_pair(text: str, flag: str, example: str = "a=b") -> tuple[str, str]:
    """Return the name and the value of `text`, a `NAME=VALUE` given with `flag`; the value may hold `=`.

    Raises:
        SettingsError: there is no name or no `=`; the message has the `example`.
    """
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise SettingsError(f"{flag} {text!r}: write a name, =, and a value, such as {flag} {example}.")
    return name, value


def parse_tags(pairs: Iterable[str], flag: str = "--tag") -> dict[str, str]:
    """Return the tags in `pairs`, each a text `K=V`.

    Args:
        pairs: the values of `flag`; a tag's value may contain `=` and may be empty.
        flag: the option, for the error message.

    Raises:
        SettingsError: a text is not K=V, a tag is given twice with different values, or its name is reserved.
    """
    tags: dict[str, str] = {}
    for pair in pairs:
        name, value = parse_pair(pair, flag, f"{TEST}=true")
        if tags.get(name, value) != value:
            raise SettingsError(f"{flag} {pair!r}: the tag {name!r} is given twice, as {tags[name]!r} before.")
        tags[name] = value
    return checked_tags(tags, flag)


def checked_tags(tags: Mapping[str, str], source: str = "tags") -> dict[str, str]:
    """Return `tags` if a user may set them; the error message names `source`.

    Raises:
        SettingsError: a name or a value is not a text, cannot be sent, or is reserved.
    """
    for name, value in tags.items():
        if not isinstance(name, str) or not isinstance(value, str) or not name:
            raise SettingsError(f"{source}: {name!r} = {value!r}; a tag is a name and a value, both texts.")
        if not all(map(_sendable, (name, value))):
            raise SettingsError(f"{source}: the tag {name!r} holds half a surrogate pair or a control character.")
        for prefix, reason in _RESERVED.items():
            if name.startswith(prefix) and name != TEST:
                raise SettingsError(f"{source}: the tag {name!r} is reserved: {reason}.")
    return dict(tags)


def rater_tags(rater: str | None) -> dict[str, str]:
    """Return the tag that names the rater of a piece of feedback; none for None.

    Raises:
        SettingsError: the rater is not a name.
    """
    if rater is None:
        return {}
    if not rater.strip() or not _sendable(rater):
        raise SettingsError(
            f"--by {rater!r}: write the name or the id of the rater, a text without control characters."
        )
    return {BY: rater}


def _sendable(text: str) -> bool:
    return not any(char < " " or char == "\x7f" or "\ud800" <= char <= "\udfff" for char in text)
