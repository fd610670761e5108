"""`PulledExample`: one inference with everything people said about it, as a line of `t0dspy pull` holds it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

from t0dspy.errors import SettingsError


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
        return cls(**{"outputs": None, "model_outputs": None, **value, "stages": stages})


_KEYS = tuple(one.name for one in fields(PulledExample) if one.name not in ("predictor", "stages"))


def _plain(example: PulledExample) -> dict[str, Any]:
    """The keys of the contract: only a stage says its predictor, and says it first."""
    value = {name: getattr(example, name) for name in _KEYS}
    value["stages"] = [_plain(one) for one in example.stages]
    return value if example.predictor is None else {"predictor": example.predictor, **value}
