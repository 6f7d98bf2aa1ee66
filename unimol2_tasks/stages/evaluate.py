"""Evaluation: how good a predictor is on molecules it has not seen, beside baselines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import LocalArtifact, Recipe, Store
from unimol2_tasks.artifacts.workspace import Workspace
from unimol2_tasks.datasets.dataset import open_dataset
from unimol2_tasks.errors import UserError
from unimol2_tasks.evaluation.report import render_report
from unimol2_tasks.params import Params
from unimol2_tasks.stages.evaluation.asked import ask
from unimol2_tasks.stages.evaluation.candidates import Candidate
from unimol2_tasks.stages.evaluation.fitted import BASELINES, MEAN
from unimol2_tasks.stages.evaluation.judged import judged_molecules
from unimol2_tasks.stages.evaluation.neighbours import neighbours
from unimol2_tasks.stages.evaluation.page import report
from unimol2_tasks.stages.evaluation.printed import check_benchmark
from unimol2_tasks.stages.evaluation.scores import Scores
from unimol2_tasks.stages.evaluation.tables import write_figures, write_predictions

__all__ = ["MEAN", "EvaluateInputs", "run"]

JUDGED = "Uni-Mol2"
"""What the judged predictor is called in tables."""


@dataclass(frozen=True, slots=True)
class EvaluateInputs:
    """What is judged, and on what."""

    predictor: str
    dataset: str
    """A labelled dataset; its `evaluate.split` is judged, its `train` feeds the baselines. A predictor that
    was trained on folds of it is judged on those that it has not seen."""
    compare: Mapping[str, str] = field(default_factory=dict)
    """Other predictors by the name they get in the table: `{"from scratch": "runs/scratch"}`."""
    curves: Mapping[str, str] = field(default_factory=dict)
    """Further models whose learning curves are shown: `{"pretraining": "runs/model"}`."""


def run(params: Params, inputs: EvaluateInputs, out: str, store: Store = Store()) -> ArtifactRef:
    """Judge a predictor; write its figures, `predictions.csv` and `report.html`.

    Raises:
        UserError: Two methods have one name, an artifact is missing, the molecules have no label of the
            predictor's targets or one that is none of its classes, the predictors cannot be compared, or one
            answers something that is no number.
        TrainingFailed: Inference ended without a result.
    """
    _refuse_taken_names(inputs)
    dataset = store.fetch(inputs.dataset, "dataset")
    predictors = {
        name: store.fetch(uri, "predictor")
        for name, uri in {JUDGED: inputs.predictor, **inputs.compare}.items()
    }
    models = {name: store.fetch(uri, "model") for name, uri in inputs.curves.items()}
    recipe = Recipe(
        "report",
        {"evaluate": params.evaluate.model_dump(mode="json"), "names": [*predictors, *models]},
        {"dataset": dataset.manifest.digest}
        | {name: artifact.manifest.digest for name, artifact in {**predictors, **models}.items()},
    )
    # What the networks said outlasts an interruption: it takes most of the time.
    work = Workspace(str(store.work_folder(out, recipe)), store)
    with work.alone(), store.draft(out) as draft:
        found = store.find(recipe, out)
        if found is not None:
            work.remove()
            return found
        scores = _scores(params, dataset, predictors, Path(work.uri))
        results = scores.results()
        write_figures(draft, results)
        write_predictions(draft / "predictions.csv", scores, results)
        page = render_report(report(scores, results, {**models, **predictors}))
        (draft / "report.html").write_text(page, encoding="utf-8")
        made = store.publish(draft, out, recipe)
        work.remove()
        return made


def _refuse_taken_names(inputs: EvaluateInputs) -> None:
    """Tables, and the parents of the report, tell methods and models apart by their names."""
    taken = {
        JUDGED: "what the judged predictor is called",
        "dataset": "what the report calls its molecules",
        **dict.fromkeys(BASELINES, "a baseline"),
    }
    for option, named in (("compare", inputs.compare), ("curves", inputs.curves)):
        for name, uri in named.items():
            if name in taken:
                raise UserError(f"--{option} {name}={uri}: {name} is {taken[name]}; choose another name")
            taken[name] = f"already the name of {uri}"


def _scores(
    params: Params, artifact: LocalArtifact, predictors: Mapping[str, LocalArtifact], work: Path
) -> Scores:
    dataset = open_dataset(artifact.path)
    candidates = {name: Candidate.of(predictor, artifact) for name, predictor in predictors.items()}
    # Before hours of inference: whatever cannot be had or compared is refused here.
    check_benchmark(params.evaluate.published)
    judged = judged_molecules(dataset, artifact, candidates, params.evaluate.split)
    near = neighbours(candidates[JUDGED], judged)
    asked = {
        name: ask(candidate, dataset, artifact, params, work / f"predictor-{number}")
        for number, (name, candidate) in enumerate(candidates.items())
    }
    return Scores(judged, asked, near, params.evaluate)
