"""`PulledExample`: one inference with all of its feedback, as a line of `t0dspy pull` holds it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

from t0dspy.errors import SettingsError


@dataclass(frozen=True)
class Feedback:
    """One rater's feedback on an inference or its episode: a rating, a correction or a comment."""

    metric: str
    """The metric, `demonstration` or `comment`, as `t0dspy feedback` takes it."""
    value: Any
    """A boolean, a number, the text of a comment, or the fields of a demonstration."""
    rater: str | None
    """The feedback's own tag, or else the inference's user tag; None if neither is known."""
    feedback_id: str
    timestamp: str
    """RFC 3339, UTC."""


@dataclass(frozen=True)
class PulledExample:
    """An inference of a program, or of one of its stages, with its feedback and its origin."""

    inputs: Mapping[str, Any]
    """JSON values by input field."""
    outputs: Mapping[str, Any] | None
    """The demonstration if there is one, or else the model's answer; None if neither is known."""
    model_outputs: Mapping[str, Any] | None
    """The model's answer, even if a person corrected it; None if it could not be parsed."""
    metrics: Mapping[str, bool | float] = field(default_factory=dict)
    """Metric -> the latest value that was given for this inference or its episode."""
    comments: Sequence[str] = ()
    """Oldest first."""
    demonstration: bool = False
    """Whether a person gave `outputs`."""
    inference_id: str | None = None
    episode_id: str | None = None
    variant: str | None = None
    """The version that answered."""
    timestamp: str | None = None
    """RFC 3339, UTC."""
    config_snapshot: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    stages: "Sequence[PulledExample]" = ()
    """The inferences of the stages of the same run, oldest first; a stage has no stages."""
    feedback: Sequence[Feedback] = ()
    """Oldest first: every rater's latest value of each metric, every rater's latest demonstration, and all comments."""
    predictor: str | None = None
    """DSPy's path of the stage's predictor; None for the program itself."""

    def to_line(self) -> str:
        """Return the example as a line of JSON without the newline.

        Every key is present, and unknown values are null.
        """
        plain = _plain(self)
        line = json.dumps(plain, ensure_ascii=False, allow_nan=False)
        try:
            line.encode()
        except UnicodeEncodeError:  # half a surrogate pair, which UTF-8 lacks and JSON can escape
            return json.dumps(plain, allow_nan=False)
        return line

    @classmethod
    def from_object(cls, value: Mapping[str, Any], location: str) -> Self:
        """Return the example that a line of `t0dspy pull` holds; `location` names the line in errors.

        Raises:
            SettingsError: a key is unknown, or `inputs` is missing.
        """
        known = {each.name for each in fields(cls)}
        if not isinstance(value.get("inputs"), Mapping) or not value.keys() <= known:
            raise SettingsError(f"{location}: not a line of `t0dspy pull`: its keys are {', '.join(value)}.")
        stages = tuple(cls.from_object(each, f"{location}: a stage") for each in value.get("stages") or ())
        try:
            feedback = tuple(Feedback(**each) for each in value.get("feedback") or ())
        except TypeError as error:
            raise SettingsError(f"{location}: its `feedback` is not what `t0dspy pull` writes ({error}).") from error
        return cls(**{"outputs": None, "model_outputs": None, **value, "stages": stages, "feedback": feedback})


_KEYS = tuple(one.name for one in fields(PulledExample) if one.name not in ("predictor", "stages", "feedback"))


def _plain(example: PulledExample) -> dict[str, Any]:
    """Return the example with the keys of the documented format; a stage starts with its predictor."""
    value = {name: getattr(example, name) for name in _KEYS}
    value["feedback"] = [vars(each) for each in example.feedback]
    value["stages"] = [_plain(each) for each in example.stages]
    return value if example.predictor is None else {"predictor": example.predictor, **value}
