"""What a molecule's outputs cost: a mean over the labels that are known of it."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch.nn import functional

from unimol2_tasks.params import FinetuneParams
from unimol2_tasks.training.targets import Target, Targets

_REGRESSION: dict[str, Callable[..., torch.Tensor]] = {
    "smooth_l1": functional.smooth_l1_loss,
    "l1": functional.l1_loss,
    "mse": functional.mse_loss,
}
_Places = tuple[int, slice, Target]


class PropertyLoss:
    """The loss of each molecule, from outputs and labels.

    Regression is judged on the scale of its target, classes by cross-entropy or the focal loss, times the
    weight of the true class. Each molecule's loss is the mean over its own known labels: what it contributes
    depends neither on which labels nor on which classes its neighbours have.
    """

    # No module, whose buffers an engine in half precision would round: a mean of 400 would move by 1.

    def __init__(self, targets: Targets, params: FinetuneParams) -> None:
        self._regression = _REGRESSION[params.regression_loss]
        self._gamma = params.focal_gamma if params.classification_loss == "focal" else 0.0
        self._numbers = _Numbers(list(_places(targets, "regression")))
        self._binaries = _Binaries(list(_places(targets, "binary")))
        self._multiclass = list(_places(targets, "multiclass"))

    def __call__(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """`[B]` losses from outputs `[B, C]` and labels `[B, T]`, NaN where unknown; 0 if all are."""
        outputs = outputs.float()
        known = ~torch.isnan(labels)
        each = torch.zeros(labels.shape, device=outputs.device)
        numbers, binaries = self._numbers, self._binaries
        if numbers.labels:
            scaled = numbers.scaled(labels[:, numbers.labels])
            each[:, numbers.labels] = self._regression(outputs[:, numbers.columns], scaled, reduction="none")
        if binaries.labels:
            entropy, weights = binaries.entropy(outputs[:, binaries.columns], labels[:, binaries.labels])
            each[:, binaries.labels] = self._focal(entropy) * weights
        for place, columns, target in self._multiclass:
            true = torch.nan_to_num(labels[:, place]).long()
            entropy = functional.cross_entropy(outputs[:, columns], true, reduction="none")
            weights = torch.tensor(target.class_weights or [1.0] * target.classes, device=outputs.device)
            each[:, place] = self._focal(entropy) * weights[true]
        return (each * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)

    def _focal(self, entropy: torch.Tensor) -> torch.Tensor:
        """(1 - p)^γ · -ln p, p being the probability of the true class (Lin et al., 2017, eq. 4)."""
        if self._gamma == 0:
            return entropy
        # 1 - p without cancellation; where it is 0 the slope of its power may be infinite, hence the floor.
        missed = (-torch.expm1(-entropy)).clamp(min=torch.finfo(entropy.dtype).tiny)
        focal: torch.Tensor = missed**self._gamma * entropy
        return focal


class _Numbers:
    """The regression targets: which labels and columns they are, and their scales."""

    def __init__(self, places: Sequence[_Places]) -> None:
        self.labels, self.columns = _positions(places)
        # In double precision, as where outputs are scaled back.
        self.mean = torch.tensor([target.mean for _, _, target in places], dtype=torch.float64)
        self.std = torch.tensor([target.std for _, _, target in places], dtype=torch.float64)
        self.logarithmic = torch.tensor([target.scaling == "log" for _, _, target in places])

    def scaled(self, labels: torch.Tensor) -> torch.Tensor:
        """What the network should answer; something finite where nothing is known."""
        values = torch.nan_to_num(labels.double(), nan=1.0)
        logarithms = values.clamp(min=torch.finfo(torch.float64).tiny).log()
        values = torch.where(self.logarithmic.to(labels.device), logarithms, values)
        return ((values - self.mean.to(labels.device)) / self.std.to(labels.device)).float()


class _Binaries:
    """The binary targets: which labels and columns they are, and the weights of their classes."""

    def __init__(self, places: Sequence[_Places]) -> None:
        self.labels, self.columns = _positions(places)
        self.weights = torch.tensor([target.class_weights or (1.0, 1.0) for _, _, target in places])

    def entropy(self, outputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cross-entropy and weight of the true class."""
        true = (torch.nan_to_num(labels) == 1).float()
        entropy = functional.binary_cross_entropy_with_logits(outputs, true, reduction="none")
        weights = self.weights.to(outputs.device)
        return entropy, torch.where(true == 1, weights[:, 1], weights[:, 0])


def _places(targets: Targets, kind: str) -> Iterator[_Places]:
    """Position among the labels and columns among the outputs of each target of a kind."""
    for place, target in enumerate(targets.targets):
        if target.kind == kind:
            yield place, targets.columns_of(target.name), target


def _positions(places: Sequence[_Places]) -> tuple[list[int], list[int]]:
    """The positions among the labels, and the only column of each among the outputs."""
    return [place for place, _, _ in places], [columns.start for _, columns, _ in places]
