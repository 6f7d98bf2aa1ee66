"""The report of an evaluation: what it says, from what was measured."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from unimol2_tasks.artifacts.store import LocalArtifact
from unimol2_tasks.chemistry.drawing import draw_svg
from unimol2_tasks.evaluation.contents import LineageStep, Neighbour, Report, TargetResult, WorstPrediction
from unimol2_tasks.evaluation.metrics import losses
from unimol2_tasks.stages.curves import training_curves
from unimol2_tasks.stages.evaluation.scores import Scores

_IDENTICAL = 1.0
_INITIAL_WEIGHTS = {"model", "checkpoint"}
"""Parents that a network has its first weights from."""
_GIVEN_SPLITS = {"column": "a column of the table", "file": "a file"}


def report(scores: Scores, results: Sequence[TargetResult], artifacts: Mapping[str, LocalArtifact]) -> Report:
    """Put the page together.

    Args:
        scores: What was compared.
        results: Its result on every target.
        artifacts: Models and predictors, by the names that the page gives them.
    """
    judged = scores.judged
    return Report(
        title="Uni-Mol2 evaluation",
        summary=_summary(scores),
        targets=results,
        curves=training_curves(artifacts),
        worst=tuple(worst for result in results for worst in _worst(scores, result)),
        data_card=_data_card(scores, results),
        parameters=_parameters(scores, artifacts),
        lineage=_lineage({"labelled data": judged.artifact, **artifacts}),
    )


def _summary(scores: Scores) -> str:
    judged, predictor = scores.judged, next(iter(scores.predictors.values())).candidate
    n, how = f"{len(judged.indices):,} molecules", _splitting(scores)
    if judged.split is None:
        folds = len(judged.parts)
        what = (
            f"{n} of {folds} folds, separated by {how}" if folds > 1 else f"{n} of a fold, separated by {how}"
        )
        seen = "each is predicted by the networks that have not seen its label."
    elif predictor.is_own:
        what = f"{n} of the {judged.split} split, separated by {how}"
        seen = {
            "train": "the network was trained on their labels.",
            "valid": "the network was chosen by their labels.",
            "test": "the network has never seen their labels.",
        }[judged.split]
    else:
        what, seen = f"{n} of the {judged.split} split", "the network was trained on another dataset"
        common = int((scores.neighbours.similarity >= _IDENTICAL).sum())
        seen += f", which by their fingerprints has {common:,} of these molecules, too." if common else "."
        if any(len(known) for _, known in judged.parts):
            seen += " The baselines learnt from the train and valid splits of this one, the network did not."
    networks = len(predictor.members)
    return f"{what}; {seen}" + (f" An ensemble of {networks} networks." if networks > 1 else "")


def _splitting(scores: Scores) -> str:
    """How the molecules that are judged were divided, which may not be those that the predictor knows."""
    kind: str = scores.judged.artifact.manifest.params["split"]
    return _GIVEN_SPLITS.get(kind, kind)


def _parameters(scores: Scores, artifacts: Mapping[str, LocalArtifact]) -> dict[str, Any]:
    """What everything was made with, by the manifests: `params.yaml` may have changed since."""
    sections: dict[str, Any] = {
        "prepare": scores.judged.artifact.manifest.params,
        "evaluate": scores.params.model_dump(mode="json"),
    }
    for name, artifact in artifacts.items():
        for section, values in artifact.manifest.params.items():
            sections[f"{name}: {section}"] = values
    return sections


def _lineage(artifacts: Mapping[str, LocalArtifact]) -> list[LineageStep]:
    """What each was made from; parents that are on the page too have their name there."""
    names = {artifact.manifest.digest: name for name, artifact in artifacts.items()}
    steps = []
    for name, artifact in artifacts.items():
        made = artifact.manifest
        parents = [
            (f"{parent}, {names[digest]}" if digest in names else parent, digest)
            for parent, digest in made.parents.items()
        ]
        if made.kind in ("model", "predictor") and not _INITIAL_WEIGHTS & made.parents.keys():
            parents.append(("random weights", ""))
        steps.append(LineageStep(made.kind, name, made.digest, parents, made.code_version))
    return steps


def _worst(scores: Scores, result: TargetResult) -> Iterator[WorstPrediction]:
    off = np.nan_to_num(losses(result.kind, result.y_true, result.y_pred), nan=-1.0)
    for place in np.argsort(-off, kind="stable")[: scores.params.worst]:
        if off[place] < 0:
            return
        yield _worst_prediction(scores, result, int(place))


def _worst_prediction(scores: Scores, result: TargetResult, place: int) -> WorstPrediction:
    judged = scores.judged
    index = int(judged.indices[place])
    predicted = np.asarray(result.y_pred)[place]
    value = float(predicted) if result.kind != "multiclass" else float(predicted.argmax())
    target = next(target for target in judged.targets.targets if target.name == result.name)
    interval = scores.interval(target)
    smiles = judged.dataset.smiles(index)
    return WorstPrediction(
        smiles,
        draw_svg(smiles),
        result.name,
        float(np.asarray(result.y_true)[place]),
        value,
        name=judged.dataset.id(index),
        interval=None if interval is None else (float(interval[0][place]), float(interval[1][place])),
        spread=None if result.spread is None else float(np.asarray(result.spread)[place]),
        neighbour=_neighbour(scores, result.name, place),
    )


def _neighbour(scores: Scores, label: str, place: int) -> Neighbour:
    judged, near = scores.judged, scores.neighbours
    position = int(near.positions[place])
    similarity = float(near.similarity[place])
    if position < 0:
        return Neighbour(near.ids[place], similarity)
    smiles = judged.dataset.smiles(position)
    value = judged.labels[position, judged.targets.names.index(label)]
    return Neighbour(near.ids[place], similarity, smiles, draw_svg(smiles), float(value))


def _data_card(scores: Scores, results: Sequence[TargetResult]) -> dict[str, str]:
    judged = scores.judged
    rows = judged.artifact.manifest.rows
    card = {
        f"{split} molecules": f"{len(judged.dataset.indices(split)):,}"
        for split in ("train", "valid", "test")
    }
    if rows is not None:
        card |= {"rows in": f"{rows.rows_in:,}", "rows rejected": f"{rows.rejects:,}"}
    card["split"] = _splitting(scores)
    similarity = scores.neighbours.similarity
    card["similarity to the nearest training molecule"] = (
        f"median {np.median(similarity):.2f}; {int((similarity >= _IDENTICAL).sum()):,} of "
        f"{len(similarity):,} have the fingerprint of a training molecule"
    )
    for result in results:
        card[result.name] = _label_card(result)
    return card | {"dataset": judged.artifact.uri}


def _label_card(result: TargetResult) -> str:
    labels = np.asarray(result.y_true, np.float64)
    labels = labels[~np.isnan(labels)]
    if not len(labels):
        return "no labels"
    if result.kind == "regression":
        unit = f" {result.unit}" if result.unit else ""
        return (
            f"{len(labels):,} labels from {labels.min():.4g} to {labels.max():.4g}{unit}, "
            f"mean {labels.mean():.4g}, standard deviation {labels.std():.4g}"
        )
    classes, counts = np.unique(labels, return_counts=True)
    shares = (f"{count:,} of class {value:g}" for value, count in zip(classes, counts, strict=True))
    return f"{len(labels):,} labels: {', '.join(shares)}"
