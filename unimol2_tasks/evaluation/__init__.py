"""Evaluation on plain arrays: metrics with intervals, simple baselines, and the report."""
