"""Scores of an evaluation, given back to the gateway as feedback."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from t0dspy.artifact import user_config
from t0dspy.errors import SettingsError
from t0dspy.flywheel.evaluate.routes import EPISODE, INFERENCE
from t0dspy.flywheel.scoring import Scored
from t0dspy.gateway import HttpGateway
from t0dspy.runtime.feedback import stored_number


class Recorder:
    """Gives scores back as one metric of the gateway's config."""

    def __init__(self, configs: Path, metric: str, threshold: float) -> None:
        """A boolean metric is true from `threshold`.

        Raises:
            SettingsError: the config has no such metric.
        """
        metrics = user_config.metrics(configs)
        if metric not in metrics:
            raise SettingsError(f"--record {metric}: the config has {', '.join(metrics) or 'no metrics'}.")
        self.metric, self.threshold, self.kind = metric, threshold, metrics[metric]

    def check(self, *, stages_only: bool) -> None:
        """Check that runs have what the metric is about.

        Raises:
            SettingsError: it is about inferences, and of a program exported with its stages only no run is one.
        """
        if stages_only and self.kind.get("level") == "inference":
            raise SettingsError(
                f"--record {self.metric}: is about an inference, and of a program exported with --stages-only only its "
                "stages have inferences. Record a metric of level episode."
            )

    def record(self, gateway: HttpGateway, scored: Sequence[Scored]) -> int:
        """Give back the scores of the runs that have an inference; returns how many.

        A stored answer that does not parse gets the worst value, 0 or false, because 0 is its score.

        Raises:
            SettingsError: a score cannot be stored, such as infinity; none is given then.
            GatewayError: the gateway refused one.
        """
        ids = INFERENCE if self.kind.get("level") == "inference" else EPISODE
        known = [(one, _id(one, ids)) for one in scored if one.failure in (None, "answer")]
        stored = [(one, id) for one, id in known if id is not None]
        try:
            values = [self._value(one) for one, _ in stored]  # all are looked at before one is sent
            for (_, id), value in zip(stored, values, strict=True):
                gateway.feedback({"metric_name": self.metric, ids: id, "value": value})
        finally:
            gateway.close()
        return len(stored)

    def _value(self, scored: Scored) -> bool | float:
        if self.kind.get("type") != "boolean":
            return stored_number(scored.score, f"--record {self.metric}")
        return scored.failure is None and scored.score >= self.threshold


def _id(scored: Scored, key: str) -> str | None:
    prediction: Any = scored.prediction
    if prediction is None:
        return scored.inference if key == INFERENCE else scored.episode
    return prediction[key] if key in prediction else getattr(prediction, key, None)
