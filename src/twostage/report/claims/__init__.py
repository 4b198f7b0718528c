"""Statements of the paper, and our own, decided on a run: a module per part of the paper."""
