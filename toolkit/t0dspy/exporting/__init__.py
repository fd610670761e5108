"""Export: a program's next version, planned, proved on the wire, and written."""

from t0dspy.exporting.options import Export as Export
from t0dspy.exporting.options import ExportOptions as ExportOptions
from t0dspy.exporting.run import export as export
