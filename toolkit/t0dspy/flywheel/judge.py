"""The address that the promotion test had before: the same objects as in `t0dspy.flywheel.promotion`."""

from t0dspy.flywheel.promotion.compare import Difference, Mean, compare
from t0dspy.flywheel.promotion.decide import decide
from t0dspy.flywheel.promotion.options import PromotionOptions as JudgeOptions
from t0dspy.flywheel.promotion.promotion import PromotionResult as Judgement
from t0dspy.flywheel.promotion.promotion import Scores
from t0dspy.flywheel.promotion.promotion import promotion_test as judge

__all__ = ["Difference", "JudgeOptions", "Judgement", "Mean", "Scores", "compare", "decide", "judge"]
