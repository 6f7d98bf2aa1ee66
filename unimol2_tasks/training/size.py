"""How large a network is."""

import torch

from unimol2_model import ModelConfig, UniMol2ForPretraining
from unimol2_tasks.params import Counted


def count_parameters(config: ModelConfig, counted: Counted = "all") -> int:
    """Parameters of the pretraining network, or of its blocks alone, counted on one that takes no memory."""
    with torch.device("meta"):
        network = UniMol2ForPretraining(config)
    part = network if counted == "all" else network.backbone.blocks
    return sum(weight.numel() for weight in part.parameters())
