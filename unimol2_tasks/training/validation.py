"""How good a network is on molecules it was not trained on: the loss, and a figure or two per label."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from unimol2_tasks.datasets.dataset import MoleculeDataset
from unimol2_tasks.datasets.views import WHOLE, View
from unimol2_tasks.evaluation.metrics import classification_metrics, multiclass_metrics, regression_metrics
from unimol2_tasks.training.engine import summed
from unimol2_tasks.training.heartbeat import measuring
from unimol2_tasks.training.inference import Network, Share, predict_molecules
from unimol2_tasks.training.job import RunFolder, Stopped
from unimol2_tasks.training.losses import PropertyLoss
from unimol2_tasks.training.targets import Target, Targets
from unimol2_tasks.training.trained import Trained

VALIDATION_BATCH = 128

_WANTED = {"regression": ("mae", "rmse"), "binary": ("roc_auc", "accuracy"), "multiclass": ("accuracy",)}
_Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """The molecules that a network is judged on."""

    dataset: MoleculeDataset
    indices: NDArray[np.int64]
    labels: _Array
    """`[n, T]` of the chosen targets."""
    view: View = WHOLE

    @property
    def geometries(self) -> int:
        """How many are seen of all of them."""
        return sum(self.view.geometries(int(count)) for count in self.dataset.conformers[self.indices])

    def outputs(
        self,
        network: Network,
        device: torch.device,
        share: Share = Share(),
        progress: Callable[[int], None] = lambda done: None,
    ) -> _Array:
        """`[n, C]` of a network that lives on `device`; with several ranks this one's share, else zeros.

        `progress` is told how many of this share's geometries are done, equally often on all ranks.
        """
        return predict_molecules(
            network, self.dataset, self.indices, VALIDATION_BATCH, device, share, progress, self.view
        )

    def shared_outputs(
        self, network: Network, device: torch.device, progress: Callable[[int], None]
    ) -> _Array:
        """`[n, C]`, of which each rank computes a share; every rank must call it and gets the same."""
        share = Share(dist.get_rank(), dist.get_world_size())
        own = self.outputs(network, device, share, progress)
        whole: _Array = summed(torch.from_numpy(own).to(device)).cpu().numpy()
        return whole


@dataclass(frozen=True, slots=True)
class PropertyValidation:
    """Judges a network in training on molecules with labels.

    Attributes:
        trained: The network.
        judged: The molecules.
        targets: Their labels' names, kinds and scales.
        loss: What the network is trained with.
        run: Where the supervisor is told how far it is.
    """

    trained: Trained
    judged: Judged
    targets: Targets
    loss: PropertyLoss
    run: RunFolder

    def __call__(self, stop: Callable[[], bool]) -> dict[str, float] | None:
        """Metrics of the weights that would be published now, or None where a stop was asked for.

        Every rank must call it and gets the same. All are asked to stop equally often: they have equally many
        forward passes.
        """
        tell = measuring(self.run, self.judged.geometries)
        model: Any = self.trained.judged().model

        def progress(done: int) -> None:
            tell(done)
            if stop():
                raise Stopped

        try:
            outputs = self.judged.shared_outputs(model, self.trained.device, progress)
        except Stopped:
            return None
        return validation_metrics(outputs, self.judged.labels, self.targets, self.loss)


def validation_metrics(
    outputs: _Array, labels: _Array, targets: Targets, loss: PropertyLoss
) -> dict[str, float]:
    """`valid/loss`, and `label_metrics` as `valid/METRIC/NAME`.

    Args:
        outputs: `[n, C]` of a network.
        labels: `[n, T]`, NaN where unknown.
        targets: Their names, kinds and scales.
        loss: What the network is trained with.
    """
    losses = loss(torch.from_numpy(outputs), torch.from_numpy(labels))
    metrics = {"valid/loss": float(losses.double().mean())}
    # Whoever asked ends the training then, and says why.
    if not np.isfinite(outputs).all():
        return metrics
    return metrics | label_metrics(targets.to_natural(outputs), labels, targets, "valid")


def label_metrics(predictions: _Array, labels: _Array, targets: Targets, prefix: str) -> dict[str, float]:
    """Figures of each label, as `PREFIX/METRIC/NAME`; one that the labels leave undefined is absent.

    Args:
        predictions: `[n, C]` in label units; of classes, probabilities.
        labels: `[n, T]`, NaN where unknown.
        targets: Their names and kinds.
        prefix: What was predicted, for the names.

    Returns:
        `mae` and `rmse` in the label's unit, `roc_auc` of two classes, `accuracy` of classes.
    """
    metrics: dict[str, float] = {}
    for k, target in enumerate(targets.targets):
        figures = _figures(target, predictions[:, targets.columns_of(target.name)], labels[:, k])
        metrics |= {f"{prefix}/{metric}/{target.name}": value for metric, value in figures.items()}
    return metrics


def _figures(target: Target, predictions: _Array, labels: _Array) -> dict[str, float]:
    if target.kind == "multiclass":
        metrics = multiclass_metrics(labels, predictions)
    elif target.kind == "binary":
        metrics = classification_metrics(labels, predictions[:, 0])
    else:
        metrics = regression_metrics(labels, predictions[:, 0])
    return {name: metrics[name] for name in _WANTED[target.kind] if name in metrics}
