"""Uni-Mol2 as a Prefect plugin: every step from a table of molecules to predictions with a report."""

__version__ = "0.1.0"
