"""`PulledExample`: one inference with everything people said about it, as a line of `t0dspy pull` holds it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

from t0dspy.errors import SettingsError


@dataclass(frozen=True)
class Said:
    """One rater's feedback on an inference or its episode: a rating, a correction or a comment."""

    metric: str
    """The metric, `demonstration` or `comment`, as `t0dspy feedback` takes it."""
    value: Any
    """A boolean, a number, the text of a comment, or the fields of a demonstration."""
    rater: str | None
    """Who gave it: the feedback's own tag, else the inference's user tag; None where neither is known."""
    feedback_id: str
    timestamp: str
    """RFC 3339, UTC."""


@dataclass(frozen=True)
class PulledExample:
    """An inference of a program, or of one of its stages, with its feedback and where it came from."""

    inputs: Mapping[str, Any]
    """JSON values by input field."""
    outputs: Mapping[str, Any] | None
    """The demonstration where there is one, else what the model answered; None when neither is known."""
    model_outputs: Mapping[str, Any] | None
    """What the model answered, whatever people made of it; None when it could not be parsed."""
    metrics: Mapping[str, bool | float] = field(default_factory=dict)
    """The latest value of every metric given on this inference or its episode."""
    comments: Sequence[str] = ()
    """Oldest first."""
    demonstration: bool = False
    """Whether `outputs` are a person's."""
    inference_id: str | None = None
    episode_id: str | None = None
    variant: str | None = None
    """The version that answered."""
    timestamp: str | None = None
    """RFC 3339, UTC."""
    config_snapshot: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    stages: "Sequence[PulledExample]" = ()
    """The stages' inferences of the same run, oldest first; a stage has none of its own."""
    feedback: Sequence[Said] = ()
    """Oldest first: every rater's latest value of each metric, every rater's latest demonstration, and all comments."""
    predictor: str | None = None
    """DSPy's path of the stage's predictor; None for the program itself."""

    def to_line(self) -> str:
        """The example as a line of JSON, without the newline: every key is there, unknown values are null."""
        plain = _plain(self)
        line = json.dumps(plain, ensure_ascii=False, allow_nan=False)
        try:
            line.encode()
        except UnicodeEncodeError:  # half a surrogate pair, which UTF-8 lacks and JSON can escape
            return json.dumps(plain, allow_nan=False)
        return line

    @classmethod
    def from_object(cls, value: Mapping[str, Any], where: str) -> Self:
        """The example that a line of `t0dspy pull` holds; `where` names the line in errors.

        Raises:
            SettingsError: a key is unknown, or `inputs` is missing.
        """
        known = {one.name for one in fields(cls)}
        if not isinstance(value.get("inputs"), Mapping) or not value.keys() <= known:
            raise SettingsError(f"{where}: not a line of `t0dspy pull`: its keys are {', '.join(value)}.")
        stages = tuple(cls.from_object(one, f"{where}: a stage") for one in value.get("stages") or ())
        try:
            feedback = tuple(Said(**one) for one in value.get("feedback") or ())
        except TypeError as error:
            raise SettingsError(f"{where}: its `feedback` is not what `t0dspy pull` writes ({error}).") from error
        return cls(**{"outputs": None, "model_outputs": None, **value, "stages": stages, "feedback": feedback})


_KEYS = tuple(one.name for one in fields(PulledExample) if one.name not in ("predictor", "stages", "feedback"))


def _plain(example: PulledExample) -> dict[str, Any]:
    """The keys of the contract: only a stage says its predictor, and says it first."""
    value = {name: getattr(example, name) for name in _KEYS}
    value["feedback"] = [vars(one) for one in example.feedback]
    value["stages"] = [_plain(one) for one in example.stages]
    return value if example.predictor is None else {"predictor": example.predictor, **value}
