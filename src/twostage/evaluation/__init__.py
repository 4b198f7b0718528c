"""Evaluation: features, distances between sets of them, and memorization."""
