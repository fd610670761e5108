"""Model calls that are counted, kept and limited by a budget."""
