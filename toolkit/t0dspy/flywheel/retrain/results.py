"""The options and the result of a retrain, which the command, the report and the manifest read."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from t0dspy.exporting.options import Export
from t0dspy.flywheel.models.budget import Spent
from t0dspy.flywheel.optimize.optimize import Optimized
from t0dspy.flywheel.optimize.options import Auto, Optimizer
from t0dspy.flywheel.promotion.account import Statement
from t0dspy.flywheel.promotion.contest import Agreement
from t0dspy.flywheel.promotion.promotion import PromotionResult
from t0dspy.flywheel.retrain.estimate import Expected
from t0dspy.flywheel.retrain.gather import Gathered
from t0dspy.flywheel.retrain.origins import DemoOrigin
from t0dspy.model import PromptForm

Outcome = Literal["promoted", "kept", "nothing to do", "undecided", "planned"]


@dataclass(frozen=True)
class RetrainOptions:
    """The options of a retrain; all have defaults."""

    window: str = "30d"
    optimizer: Optimizer = "miprov2"
    auto: Auto = "light"
    traffic: float = 0.1
    """The winner's share of the traffic; 0 for none."""
    canary: float | None = None
    """The former name of `traffic`, which it overrides."""
    replace: bool = False
    """Retrain although a candidate is undecided; a winner takes its traffic."""
    max_calls: int | None = None
    """The most model calls, including those of the promotion test."""
    max_cost: float | None = None
    """US dollars; needs `prices` in the settings."""
    stage: str | None = None
    """Optimize only this predictor."""
    seed: int = 9
    threads: int = 8
    resume: bool = False
    """Continue an interrupted run if there is one."""
    dry_run: bool = False
    """Do everything except optimizing and writing."""
    verify: bool = True
    """Prove wire equality of the exported version."""
    review: bool | None = None
    """Export a winner without traffic, for a person to decide; None for the value in the program's settings."""

    @property
    def share(self) -> float:
        """Return the winner's share of the traffic, from 0 to 1."""
        return self.traffic if self.canary is None else self.canary


@dataclass(frozen=True)
class Retrained:
    """The result of a retrain."""

    name: str
    outcome: Outcome
    reason: str
    incumbent: str
    form: PromptForm
    window: tuple[str, str]
    """RFC 3339, from and to."""
    gathered: Gathered
    expected: Expected | None = None
    """The estimate, for a dry run."""
    version: str | None = None
    """The new version, if there is one."""
    export: Export | None = None
    optimized: Optimized | None = None
    judgement: PromotionResult | None = None
    """The result of the promotion test; it is `judgement` in report.json."""
    account: Statement | None = None
    """The risk account of the holdout."""
    pairs: Sequence[tuple[float, float]] = ()
    """The incumbent's and the challenger's score on each example of the holdout."""
    prompts: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = field(default_factory=dict)
    """Predictor -> its instructions and demos, of the incumbent and of the challenger."""
    demos: Sequence[DemoOrigin] = ()
    """The challenger's demos that the incumbent does not have, with their origin."""
    agreement: Agreement | None = None
    spent: Spent = field(default_factory=Spent)
    models: Mapping[str, str] = field(default_factory=dict)
    metric: str = ""
    seconds: float = 0.0
    run: str = ""
    directory: Path | None = None
    """The directory of its report and its answers; None for a dry run."""
    resumed: bool = False
    review: str = ""
    """The command that gives the new version its share, if it awaits a person's review."""
    notes: Sequence[str] = ()


def scores_of(result: Retrained, optimized: Optimized) -> dict[str, Any]:
    """Return the scores for the version's entry in the manifest."""
    judgement = result.judgement
    scores: dict[str, Any] = {
        "metric": result.metric,
        "validation": {"score": optimized.score, "runs": optimized.trials[0].runs},
    }
    scores["validation"]["incumbent"] = optimized.incumbent_score
    if judgement is not None:
        scores["holdout"] = asdict(judgement.difference)
    return scores


def lineage_entry(result: Retrained, options: RetrainOptions) -> dict[str, Any]:
    """Return how a version was made, for its entry in the manifest."""
    gathered = result.gathered
    return {
        "run": result.run,
        "incumbent": result.incumbent,
        "window": list(result.window),
        "counts": {
            "pulled": gathered.pulled,
            "train": len(gathered.train),
            "validation": len(gathered.validation),
            "holdout": len(gathered.holdout),
        },
        "optimizer": options.optimizer,
        "auto": options.auto,
        "seed": options.seed,
        "stage": options.stage,
        "models": dict(result.models),
        "calls": result.spent.calls,
        "cost": result.spent.cost,
    }
