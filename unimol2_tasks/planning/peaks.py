"""What GPUs can do, and the share of it that training is taken to reach."""

ASSUMED_UTILISATION = 0.3
"""Share of a GPU's peak that training reaches; an assumption until a rate is measured."""
A100_TFLOPS = {"bf16": 312.0, "fp16": 312.0, "fp32": 19.5}
"""Dense peak of the GPUs that the paper used, by precision (NVIDIA A100 data sheet)."""
