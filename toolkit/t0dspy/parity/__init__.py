"""Prove wire equality: a provider receives the same request from DSPy and from the real gateway."""

from t0dspy.parity.compare import INPUTS, compare
from t0dspy.parity.report import Mismatch, ParityReport, PredictorReport, explain

__all__ = ["INPUTS", "Mismatch", "ParityReport", "PredictorReport", "compare", "explain"]
