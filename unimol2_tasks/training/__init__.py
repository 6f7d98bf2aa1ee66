"""Training with DeepSpeed: the worker that trains, the supervisor that watches it."""
