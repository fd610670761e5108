"""Divide examples into train, validation and holdout sets."""
