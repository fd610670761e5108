"""Wire equality: the same inputs through DSPy directly and through the real gateway must reach a provider the same."""

from t0dspy.parity.report import Mismatch, ParityReport, PredictorReport
from t0dspy.parity.run import Subject, compare, subjects_of

__all__ = ["Mismatch", "ParityReport", "PredictorReport", "Subject", "compare", "subjects_of"]
