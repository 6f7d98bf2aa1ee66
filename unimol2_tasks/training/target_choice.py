"""Which labels are learnt, as what, and on which scale; scales come from the training split alone."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from unimol2_tasks.datasets.views import View
from unimol2_tasks.errors import UserError
from unimol2_tasks.params import FinetuneParams, PrepareParams
from unimol2_tasks.training.targets import Target, Targets

_LOGGER = logging.getLogger(__name__)
_MOST_CLASSES = 1000
"""More than the classes of any benchmark; a label beyond is a count or a measurement."""

_Word = TypeVar("_Word", bound=str)


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a dataset.

    Attributes:
        names: `[T]` their names.
        values: `[n, T]` in the labels' own units, NaN where unknown.
        molecule: What to call molecule i, from 0, in an error.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    molecule: Callable[[int], str] = "molecule {}".format


def choose_targets(
    labels: Labels,
    train: NDArray[np.int64],
    params: FinetuneParams,
    prepare: PrepareParams,
    conformers: int,
) -> tuple[Targets, NDArray[np.int64]]:
    """Which labels to learn, of which kind and scale.

    Args:
        labels: Those of the whole dataset.
        train: Positions of the training molecules.
        params: The wanted targets, their kinds and scales.
        prepare: How the dataset's molecules were made.
        conformers: The most that are stored of a training molecule.

    Returns:
        The targets, and their positions among the labels.

    Raises:
        UserError: A wanted label is not in the dataset, has no training value, or holds what its kind or
            scale does not allow; names the label and the molecule.
    """
    wanted = params.targets or labels.names
    unknown = [name for name in wanted if name not in labels.names]
    if unknown or not wanted:
        raise UserError(
            f"finetune.targets: no label column {', '.join(unknown) or '(any)'} in the dataset; "
            f"it has: {', '.join(labels.names) or 'none'}"
        )
    _refuse_unwanted("task", params.task, wanted)
    _refuse_unwanted("scaling", params.scaling, wanted)
    positions = np.array([labels.names.index(name) for name in wanted], dtype=np.int64)
    targets = tuple(_target(labels, int(place), train, params) for place in positions)
    view = View(
        features=params.features, drawing=_drawing_wanted(params, conformers), conformers=params.conformers
    )
    return Targets(targets=targets, prepare=prepare, view=view, head=params.head), positions


def _drawing_wanted(params: FinetuneParams, conformers: int) -> bool:
    """Whether the drawing counts as a conformer: as asked for, else where molecules have several.

    Where a single geometry is stored, or is to be seen, that is a conformer.
    """
    if params.drawing is not None:
        return params.drawing
    return conformers > 1 and params.conformers > 1


def _refuse_unwanted(key: str, words: str | Mapping[str, str], wanted: tuple[str, ...]) -> None:
    strange = [] if isinstance(words, str) else [name for name in words if name not in wanted]
    if strange:
        raise UserError(
            f"finetune.{key}: {', '.join(strange)} is no target; the targets are: {', '.join(wanted)}"
        )


def _word(words: _Word | Mapping[str, _Word], name: str, otherwise: _Word) -> _Word:
    """The word for a label, of one for all or of a mapping."""
    return words if isinstance(words, str) else words.get(name, otherwise)


def _target(labels: Labels, place: int, train: NDArray[np.int64], params: FinetuneParams) -> Target:
    name, values = labels.names[place], labels.values[:, place]
    training = values[train]
    training = training[~np.isnan(training)]
    if not len(training):
        raise UserError(f"label {name}: no training molecule has a value; leave it out with finetune.targets")
    kind = _word(params.task, name, "auto")
    if kind == "auto":
        kind = "regression" if _others(values, 2).any() else "binary"
        _warn_of_averaged_classes(name, values)
    if kind == "regression":
        return _scaled(labels, place, training, _word(params.scaling, name, "standard"))
    if not isinstance(params.scaling, str) and name in params.scaling:
        raise UserError(f"finetune.scaling: {name} is {kind}, and only numbers have a scale; leave it out")
    classes = 2
    if kind == "multiclass":
        classes = int(min(np.nanmax(values), _MOST_CLASSES - 1)) + 1
    expected = "0 or 1" if kind == "binary" else f"a whole number from 0 to {_MOST_CLASSES - 1}"
    _refuse(labels, place, _others(values, classes), f"finetune.task is {kind}", expected)
    if classes < 2:
        raise UserError(f"label {name}: finetune.task is multiclass, but all values are 0; leave it out")
    weights = _balanced(training, classes) if params.class_weights == "balanced" else ()
    outputs = 1 if kind == "binary" else classes
    return Target(name=name, kind=kind, classes=outputs, class_weights=weights)


def _scaled(labels: Labels, place: int, training: NDArray[np.float64], scaling: str) -> Target:
    """A regression target on the scale that its training labels give."""
    name = labels.names[place]
    if scaling == "none":
        return Target(name=name, kind="regression", scaling="none")
    if scaling == "log":
        values = labels.values[:, place]
        _refuse(labels, place, values <= 0, "finetune.scaling is log", "numbers above 0")
        training = np.log(training)
    mean, std = float(training.mean()), float(training.std())
    return Target(
        name=name,
        kind="regression",
        scaling="log" if scaling == "log" else "standard",
        mean=mean,
        # That of equal values need not come out as 0, and would make their label drown all others.
        std=std if np.ptp(training) > 0 else 1.0,
    )


def _others(values: NDArray[np.float64], classes: int) -> NDArray[np.bool_]:
    """`[n]` where a known label is none of the classes 0 to `classes` - 1."""
    known = ~np.isnan(values)
    return known & ~np.isin(values, np.arange(classes))


def _warn_of_averaged_classes(name: str, values: NDArray[np.float64]) -> None:
    """Zeros and ones with a few values between them are classes whose duplicates disagreed."""
    zeros, ones = int((values == 0).sum()), int((values == 1).sum())
    between = int(((values > 0) & (values < 1)).sum())
    others = int(_others(values, 2).sum()) - between
    if not zeros or not ones or not 0 < between < zeros + ones or others:
        return
    _LOGGER.warning(
        "label %s: %d of its values are no whole numbers, the others are 0 or 1; it is learnt as a number. "
        "If it is a class, prepare.duplicate_labels=drop-conflicting or first leaves no means of duplicates "
        "that disagree, and finetune.task={%s: binary} makes sure of it",
        name,
        between,
        name,
    )


def _refuse(labels: Labels, place: int, bad: NDArray[np.bool_], why: str, expected: str) -> None:
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise UserError(
            f"label {labels.names[place]}: {why}, but {int(bad.sum())} of its values cannot be; the first is "
            f"{labels.values[first, place]:g}, of {labels.molecule(first)}; expected {expected}"
        )


def _balanced(training: NDArray[np.float64], classes: int) -> tuple[float, ...]:
    """Weights n / (K · n_k), with which all K classes count alike.

    An absent class weighs 1: in validation alone it counts, and must not decide there which network is kept.
    """
    counts = np.bincount(training.astype(np.int64), minlength=classes)
    return tuple(np.where(counts, len(training) / (classes * counts.clip(min=1)), 1.0).tolist())
