"""The names and the address of the promotion test from before it was the package `t0dspy.flywheel.promotion`.

This module stays so that code that imports `t0dspy.flywheel.judge` keeps working; it defines nothing of its own.
"""

from t0dspy.flywheel.promotion.compare import Difference, Mean, compare
from t0dspy.flywheel.promotion.decide import decide
from t0dspy.flywheel.promotion.options import PromotionOptions as JudgeOptions
from t0dspy.flywheel.promotion.promotion import PromotionResult as Judgement
from t0dspy.flywheel.promotion.promotion import Scores
from t0dspy.flywheel.promotion.promotion import promotion_test as judge

__all__ = ["Difference", "JudgeOptions", "Judgement", "Mean", "Scores", "compare", "decide", "judge"]
