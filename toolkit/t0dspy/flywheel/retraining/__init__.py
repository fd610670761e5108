"""The parts of a retrain: what it is given, plans, judges, exports and reports."""
