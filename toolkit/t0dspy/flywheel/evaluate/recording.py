"""Record the scores of an evaluation as feedback in the gateway."""

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
    """Records scores as feedback for one metric of the gateway's config."""

    def __init__(self, configs: Path, metric: str, threshold: float) -> None:
        """Record for `metric`; a boolean metric is true from `threshold`.

        Raises:
            SettingsError: the config has no such metric.
        """
        metrics = user_config.metrics(configs)
        if metric not in metrics:
            raise SettingsError(f"--record {metric}: the config has {', '.join(metrics) or 'no metrics'}.")
        self.metric, self.threshold, self.kind = metric, threshold, metrics[metric]

    def check(self, *, stages_only: bool) -> None:
        """Check that the runs have what the metric is about.

        Raises:
            SettingsError: the metric is about inferences, and the runs of a program exported with its stages only have
                none.
        """
        if stages_only and self.kind.get("level") == "inference":
            raise SettingsError(
                f"--record {self.metric}: is about an inference, and of a program exported with --stages-only only its "
                "stages have inferences. Record a metric of level episode."
            )

    def record(self, gateway: HttpGateway, scored: Sequence[Scored]) -> int:
        """Record the scores of the runs that have an inference, and return how many.

        A stored answer that cannot be parsed gets the worst value, 0 or false, because its score is 0.

        Raises:
            SettingsError: a score cannot be stored, such as infinity; then none is recorded.
            GatewayError: the gateway refused a score.
        """
        ids = INFERENCE if self.kind.get("level") == "inference" else EPISODE
        known = [(run, _id(run, ids)) for run in scored if run.failure in (None, "answer")]
        stored = [(run, id) for run, id in known if id is not None]
        try:
            values = [self._value(run) for run, _ in stored]  # check all values before the first is sent
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
