"""The network with a head for properties of molecules."""

from torch import Tensor, nn

from unimol2_model.backbone import UniMol2Backbone
from unimol2_model.batch import MoleculeBatch
from unimol2_model.config import ModelConfig
from unimol2_model.heads import PropertyHead


class UniMol2ForProperties(nn.Module):
    """Uni-Mol2 with a property head; its backbone's weights are named as in the pretraining model.

    Args:
        config: the architecture.
        outputs: number of properties.
        head_dropout: probability inside the head.

    Raises:
        ValueError: `outputs` or `head_dropout` is impossible.
    """

    def __init__(self, config: ModelConfig, outputs: int, head_dropout: float = 0.0) -> None:
        if outputs < 1:
            raise ValueError(f"outputs: expected at least 1 property, got {outputs}")
        if not 0 <= head_dropout < 1:
            raise ValueError(f"head_dropout: expected a probability in [0, 1), got {head_dropout}")
        super().__init__()
        self.config = config
        self.outputs = outputs
        self.backbone = UniMol2Backbone(config)
        self.head = PropertyHead(config, outputs, head_dropout)

    def forward(self, batch: MoleculeBatch) -> Tensor:
        """Return [B, outputs], in the units that the head was trained on."""
        predicted: Tensor = self.head(self.embed(batch))
        return predicted

    def embed(self, batch: MoleculeBatch) -> Tensor:
        """Return the molecule embeddings [B, D]."""
        return self.backbone.embed(batch)
