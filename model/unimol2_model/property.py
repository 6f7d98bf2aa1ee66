"""The network with a head for properties of molecules."""

from collections.abc import Sequence
from typing import Self

from torch import Tensor, nn

from unimol2_model.backbone import UniMol2Backbone
from unimol2_model.batch import MoleculeBatch
from unimol2_model.config import ModelConfig
from unimol2_model.heads import MultitaskHead, PropertyHead


class UniMol2ForProperties(nn.Module):
    """Uni-Mol2 with a property head; its backbone's weights are named as in the pretraining model.

    Args:
        config: the architecture.
        outputs: number of properties, which the released head reads off together; or the number of outputs
            of each label, which `MultitaskHead` reads off separately.
        head_dropout: probability inside the head.

    Attributes:
        outputs: number of outputs, C.

    Raises:
        ValueError: `outputs` or `head_dropout` is impossible.
    """

    def __init__(self, config: ModelConfig, outputs: int | Sequence[int], head_dropout: float = 0.0) -> None:
        counts = [outputs] if isinstance(outputs, int) else list(outputs)
        if not counts or min(counts) < 1:
            raise ValueError(f"outputs: expected at least 1 property, got {outputs}")
        if not 0 <= head_dropout < 1:
            raise ValueError(f"head_dropout: expected a probability in [0, 1), got {head_dropout}")
        super().__init__()
        self.config = config
        self.outputs = sum(counts)
        self.backbone = UniMol2Backbone(config)
        self.head = (
            PropertyHead(config, outputs, head_dropout)
            if isinstance(outputs, int)
            else MultitaskHead(config, counts, head_dropout)
        )
        self._backbone_is_frozen = False

    def forward(self, batch: MoleculeBatch) -> Tensor:
        """Return [B, C], in the units that the head was trained on."""
        predicted: Tensor = self.head(self.embed(batch))
        return predicted

    def embed(self, batch: MoleculeBatch) -> Tensor:
        """Return the molecule embeddings [B, D]."""
        return self.backbone.embed(batch)

    def freeze_backbone(self) -> None:
        """Never differentiate the backbone, and never drop anything in it: its embeddings are fixed."""
        self.backbone.requires_grad_(False)
        self._backbone_is_frozen = True
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Switch dropout on or off, as in torch; a frozen backbone stays without."""
        super().train(mode)
        if self._backbone_is_frozen:
            self.backbone.eval()
        return self
