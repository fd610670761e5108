"""The options of curation and their checks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from t0dspy.errors import SettingsError
from t0dspy.settings import Gold

Corrections = Literal["anyone", "caller", "trusted"]
"""Whose corrections count."""

_PLACES = ("tags", "outputs", "inputs", "metrics")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SettingsError(f"{name}: is {value!r}; write a whole number from {least} on.")


def _is_names(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


@dataclass(frozen=True)
class Cap:
    """A limit on the share of the kept examples that one value of `by` may hold.

    Raises:
        SettingsError: `by` does not name a value, or a number is out of its range.
    """

    by: str
    """`user`, `rater`, `variant`, or a field of a group: `tags.tenant`, `outputs.label`, `metrics.ok`."""
    share: float
    """Above 0, up to 1. If there are too few values for it, no value may hold more than the second largest one."""
    least: int = 20
    """A value may always hold this many examples."""
    exempt: tuple[str, ...] = ()
    """For `rater`: raters without a limit."""

    def __post_init__(self) -> None:
        """Check the values, which may come from a file."""
        place, dot, name = self.by.partition(".") if isinstance(self.by, str) else ("", "", "")
        if self.by not in ("user", "rater", "variant") and not (place in _PLACES and dot and name):
            raise SettingsError(
                f"caps, by: is {self.by!r}; write 'user', 'rater', 'variant', 'tags.NAME' or 'outputs.FIELD'."
            )
        if not _is_number(self.share) or not 0 < self.share <= 1:
            raise SettingsError(f"caps, share of {self.by}: is {self.share!r}; write a number above 0, up to 1.")
        _check_whole("caps, least", self.least, 1)


@dataclass(frozen=True)
class CurateOptions:
    """How a program's examples are curated.

    Raises:
        SettingsError: a value is of the wrong kind or out of its range.
    """

    gold: Gold = "none"
    """With `required`, an example without a right answer is dropped; with `none`, an input alone is useful."""
    floor: Mapping[str, float] = field(default_factory=dict)
    """Metric -> the least value (true is 1) for the model's own answer to count as right."""
    tolerance: float = 0.2
    """The largest share of raters, below 0.5, that the other raters outvote."""
    similarity: float = 0.8
    """The likeness, 0 to 1, from which two inputs are near-duplicates."""
    ignore: tuple[str, ...] = ()
    """Input fields that do not make inputs different, such as a request's id."""
    user_tag: str = "user_id"
    """The tag that names the user of an inference."""
    rater_tag: str | None = None
    """A tag of feedback that names its rater; it takes precedence over `t0dspy::by` and the user tag."""
    corrections: Corrections = "caller"
    """Whose corrections and comments count.

    Those of `anyone`, of the `caller` and trusted raters, or of `trusted` raters.
    """
    trusted_raters: tuple[str, ...] = ()
    """Raters who outvote all others, may correct every inference, and are exempt from caps."""
    demo_characters: int = 20_000
    """The most characters of an example that the optimizer may show in a prompt; 0 for no limit."""
    caps: tuple[Cap, ...] = (Cap("user", 0.2), Cap("variant", 0.8, least=1600))
    limit: int | None = 2000
    """The most examples that are kept; 0 or None for all."""
    redact: str | None = None
    """`module:function`, from text to text, which is applied to all text of an example; None for no redaction."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values, which may come from a file."""
        for name, value in self.floor.items():
            if not _is_number(value):
                raise SettingsError(f"floor, {name}: is {value!r}; write the least value of the metric (true is 1).")
        if not _is_number(self.tolerance) or not 0 <= self.tolerance < 0.5:
            raise SettingsError(f"tolerance: is {self.tolerance!r}; write a number from 0 to below 0.5.")
        if not _is_number(self.similarity) or not 0 < self.similarity <= 1:
            raise SettingsError(f"similarity: is {self.similarity!r}; write a number above 0, up to 1.")
        if not _is_names(self.ignore):
            raise SettingsError(f"ignore: is {self.ignore!r}; write a list of input fields.")
        if not isinstance(self.user_tag, str) or not self.user_tag:
            raise SettingsError(f"user_tag: is {self.user_tag!r}; write the name of a tag.")
        self._check_raters()
        _check_whole("demo_characters", self.demo_characters, 0)
        if self.limit is not None:
            _check_whole("limit", self.limit, 0)
        _check_whole("seed", self.seed, 0)

    def _check_raters(self) -> None:
        if self.rater_tag is not None and (not isinstance(self.rater_tag, str) or not self.rater_tag):
            raise SettingsError(f"rater_tag: is {self.rater_tag!r}; write the name of a tag of feedback.")
        if self.corrections not in get_args(Corrections):
            raise SettingsError(
                f"corrections: is {self.corrections!r}; write one of {', '.join(get_args(Corrections))}."
            )
        if not _is_names(self.trusted_raters) or "" in self.trusted_raters:
            raise SettingsError(f"trusted_raters: is {self.trusted_raters!r}; write a list of raters' names or ids.")
        if self.corrections == "trusted" and not self.trusted_raters:
            raise SettingsError("corrections: is 'trusted', and no rater is; name them in trusted_raters.")

    @property
    def resolved_caps(self) -> tuple[Cap, ...]:
        """Return the caps, with one of `user` as two: one for the user of the inference, one for its only rater."""
        return tuple(
            resolved for cap in self.caps for resolved in (self._resolved(cap) if cap.by == "user" else (cap,))
        )

    def _resolved(self, cap: Cap) -> tuple[Cap, Cap]:
        return replace(cap, by=f"tags.{self.user_tag}"), replace(cap, by="rater", exempt=self.trusted_raters)
