"""Sampling: velocity fields that compose, plans, solvers, and the samples they make."""
