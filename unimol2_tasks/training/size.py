"""How large a network is."""

import torch

from unimol2_model import ModelConfig, UniMol2ForPretraining


def count_parameters(config: ModelConfig) -> int:
    """Parameters of the pretraining network, counted on one that takes no memory."""
    with torch.device("meta"):
        return sum(weight.numel() for weight in UniMol2ForPretraining(config).parameters())
