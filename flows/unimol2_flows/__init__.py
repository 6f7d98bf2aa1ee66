"""Prefect flows, one per file: parameters in, tasks chained, artifact references out."""
