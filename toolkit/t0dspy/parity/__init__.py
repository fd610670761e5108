"""Wire equality: the same inputs through DSPy directly and through the real gateway must reach a provider the same."""

from t0dspy.parity.compare import INPUTS, Subject, compare, subjects_of
from t0dspy.parity.report import Mismatch, ParityReport, PredictorReport, explain

__all__ = ["INPUTS", "Mismatch", "ParityReport", "PredictorReport", "Subject", "compare", "explain", "subjects_of"]
