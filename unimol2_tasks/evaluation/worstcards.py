"""The worst predictions as text: each beside the training molecule that is most like it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unimol2_tasks.evaluation.contents import Neighbour, TargetResult, WorstPrediction
from unimol2_tasks.evaluation.pages import data_uri
from unimol2_tasks.evaluation.scoretable import number


@dataclass(frozen=True, slots=True)
class NeighbourCard:
    """The nearest training molecule, ready to print."""

    smiles: str
    drawing: str
    """Source of an image; empty where it could not be drawn."""
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class WorstCard:
    """One molecule that was predicted badly, ready to print."""

    name: str
    smiles: str
    drawing: str
    target: str
    unit: str
    facts: tuple[tuple[str, str], ...]
    neighbour: NeighbourCard | None


def worst_card(worst: WorstPrediction, target: TargetResult | None) -> WorstCard:
    """Lay out one bad prediction.

    Args:
        worst: The molecule.
        target: What was predicted of it, if the report has it.
    """
    kind = "regression" if target is None else target.kind
    label = number if kind == "regression" else _class
    facts = [("measured", label(worst.y_true))]
    if kind == "binary":
        facts += [("probability", number(worst.y_pred))]
    else:
        facts += [("predicted", label(worst.y_pred))]
    if kind == "regression":
        facts += [("error", number(worst.y_pred - worst.y_true))]
    if worst.interval is not None and np.isfinite(worst.interval).all():
        low, high = worst.interval
        facts += [("90 % interval", f"{number(low)} to {number(high)}")]
    if worst.spread is not None:
        facts += [("spread", number(worst.spread))]
    neighbour = worst.neighbour
    return WorstCard(
        worst.name,
        worst.smiles,
        data_uri(worst.drawing_svg),
        worst.target,
        "" if target is None else target.unit,
        tuple(facts),
        None if neighbour is None else _neighbour_card(neighbour, kind),
    )


def _neighbour_card(neighbour: Neighbour, kind: str) -> NeighbourCard:
    label = number if kind == "regression" else _class
    facts = [("measured", label(neighbour.label))] if np.isfinite(neighbour.label) else []
    facts += [("similarity", f"{neighbour.similarity:.2f}"), ("name", neighbour.name)]
    return NeighbourCard(neighbour.smiles, data_uri(neighbour.drawing_svg), tuple(facts))


def _class(value: float) -> str:
    return f"{value:g}"
