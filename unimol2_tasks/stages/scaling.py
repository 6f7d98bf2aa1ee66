"""The scaling law: the curves of several pretrained models become a law, judged on others held out."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from unimol2_model import ModelConfig
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import LocalArtifact, Recipe, Store
from unimol2_tasks.errors import UserError
from unimol2_tasks.params import Counted, StudyParams
from unimol2_tasks.scaling.alternatives import alternatives, extrapolations, last_part
from unimol2_tasks.scaling.determination import judge_terms
from unimol2_tasks.scaling.fit import FittedLaw, fit_scaling_law
from unimol2_tasks.scaling.law import ScalingLaw
from unimol2_tasks.scaling.metrics import score
from unimol2_tasks.scaling.points import CurvePoint
from unimol2_tasks.scaling.resampling import Replica, intervals_of, prediction_interval, resample
from unimol2_tasks.stages.curves import read_curve
from unimol2_tasks.stages.scaling_results.comparable import refuse_repeats, refuse_unlike
from unimol2_tasks.stages.scaling_results.law_files import Part, write_fit, write_points, write_replicas
from unimol2_tasks.training.network import CONFIG
from unimol2_tasks.training.size import count_parameters

_SETTINGS = ("counted", "skip_steps", "test_from_step", "seed", "starts", "bootstrap")
_JUDGED_SHARE = 1 / 8
"""Of a held-out curve: the paper's last 100,000 of 810,000 steps."""


@dataclass(frozen=True, slots=True)
class ScalingInputs:
    """What the law is fitted to, and how."""

    models: Sequence[str]
    """Pretrained models of at least two sizes."""
    held_out: Sequence[str] = ()
    """Models that the law is judged on, and that have no part in the fit."""
    counted: Counted = "all"
    """Which parameters are the size of a network."""
    skip_steps: int = 0
    """Steps at the start of each curve that do not count (the paper: 200,000)."""
    test_from_step: int | None = None
    """The law is judged on what comes after this step; None: on the last eighth of each curve."""
    seed: int = 0
    """Of starts and resampling."""
    starts: int = 16
    """Starts of the fit."""
    bootstrap: int = 200
    """Resamples for the intervals; 0: none."""

    @classmethod
    def of(cls, study: StudyParams, models: Sequence[str], held_out: Sequence[str]) -> Self:
        """Those of a study."""
        return cls(models, held_out, **{name: getattr(study, name) for name in _SETTINGS})


@dataclass(frozen=True, slots=True)
class _Curves:
    """The measured points by their part in the study."""

    fitted: list[CurvePoint]
    skipped: list[CurvePoint]
    """Of the models of the fit: steps that do not count."""
    held_out: list[CurvePoint]
    """All of the held-out models."""
    tested: list[CurvePoint]
    """Those of them that the law is judged on."""

    def by_part(self) -> list[tuple[Part, CurvePoint]]:
        """Every point once, with its part."""
        tested = set(self.tested)
        return [
            *(("fit", point) for point in self.fitted),
            *(("skipped", point) for point in self.skipped),
            *(("test" if point in tested else "held out", point) for point in self.held_out),
        ]


def run(inputs: ScalingInputs, out: str, store: Store = Store()) -> ArtifactRef:
    """Fit L(M, S, C) to the validation curves of the models, and judge it on those held out.

    The artifact: `law.json`, `points.csv` (every measured loss, its part, its prediction) and `replicas.csv`
    (the refits behind the intervals).

    Raises:
        UserError: A model is missing, given twice, trained unlike the others or without validation losses, or
            the curves are too few.
    """
    models = [store.fetch(uri, "model") for uri in inputs.models]
    held_out = [store.fetch(uri, "model") for uri in inputs.held_out]
    refuse_repeats([*models, *held_out])
    recipe = Recipe(
        "law",
        {name: getattr(inputs, name) for name in _SETTINGS},
        {f"model-{number}": model.manifest.digest for number, model in enumerate(models)}
        | {f"held-out-{number}": model.manifest.digest for number, model in enumerate(held_out)},
    )
    found = store.find(recipe, out)
    if found is not None:
        return found
    refuse_unlike([*models, *held_out])
    curves = _read_curves(models, held_out, inputs)
    try:
        fitted = fit_scaling_law(curves.fitted, inputs.seed, inputs.starts)
        replicas = resample(fitted, curves.fitted, inputs.bootstrap, inputs.seed)
        value = _describe(fitted, replicas, curves, inputs) | {
            "batch_size": models[0].manifest.params.get("pretrain", {}).get("batch_size")
        }
    except ValueError as error:
        raise UserError(f"scaling: {error}") from None
    with store.draft(out) as draft:
        write_fit(draft, value)
        write_points(draft, curves.by_part(), fitted.law, replicas)
        write_replicas(draft, replicas)
        return store.publish(draft, out, recipe)


def _read_curves(
    models: Sequence[LocalArtifact], held_out: Sequence[LocalArtifact], inputs: ScalingInputs
) -> _Curves:
    measured = [_points(model, inputs.counted) for model in models]
    kept = [_points(model, inputs.counted) for model in held_out]
    return _Curves(
        fitted=[point for curve in measured for point in _after(curve, inputs.skip_steps, "skip_steps")],
        skipped=[point for curve in measured for point in curve if point.steps <= inputs.skip_steps],
        held_out=[point for curve in kept for point in curve],
        tested=[point for curve in kept for point in _judged(curve, inputs.test_from_step)],
    )


def _points(model: LocalArtifact, counted: Counted) -> list[CurvePoint]:
    steps, losses = read_curve(model.path, "valid/loss")
    size = _parameters(model.path, counted) / 1e6
    points = [
        CurvePoint(run=model.uri, millions=size, steps=step, loss=loss)
        for step, loss in zip(steps, losses, strict=True)
        # What an untrained network loses is no part of a power law of steps. Training validates after its
        # first step, whatever `validate_every` says, and that step has changed next to nothing.
        if step > 1
    ]
    if not points:
        raise UserError(
            f"scaling: {model.uri} has no validation losses; pretrain it on a dataset with a valid split, or "
            "leave it out"
        )
    return points


def _parameters(model: Path, counted: Counted) -> int:
    if counted == "all":
        return int(json.loads((model / "metrics.json").read_text(encoding="utf-8"))["parameters"])
    config = ModelConfig.from_dict(json.loads((model / CONFIG).read_text(encoding="utf-8")))
    return count_parameters(config, counted)


def _judged(curve: list[CurvePoint], test_from_step: int | None) -> list[CurvePoint]:
    if test_from_step is None:
        return last_part(curve, _JUDGED_SHARE)
    return _after(curve, test_from_step, "test_from_step")


def _after(curve: list[CurvePoint], step: int, setting: str) -> list[CurvePoint]:
    left = [point for point in curve if point.steps > step]
    if not left:
        last = max(point.steps for point in curve)
        raise UserError(
            f"scaling: {curve[0].run} has no loss after step {step} (its last is {last:g}); "
            f"give a smaller --{setting.replace('_', '-')} (in a study: study.{setting})"
        )
    return left


def _describe(
    fitted: FittedLaw, replicas: Sequence[Replica], curves: _Curves, inputs: ScalingInputs
) -> dict[str, Any]:
    steps = [point.steps for point in curves.fitted]
    terms = judge_terms(fitted, replicas, fitted.sizes[-1], max(steps)) if replicas else ()
    runs = dict.fromkeys(point.run for point in curves.tested)
    tested = {run: [point for point in curves.tested if point.run == run] for run in runs}
    return {
        "constants": {name: getattr(fitted.law, name) for name in "abcdef"},
        "intervals": intervals_of(replicas) if replicas else {},
        "terms": [asdict(term) for term in terms],
        "metrics": fitted.metrics,
        "counted": inputs.counted,
        "sizes": fitted.sizes,
        "steps": [min(steps), max(steps)],
        "agreeing_starts": fitted.agreeing_starts,
        "starts": inputs.starts,
        "held_out": {
            run: {"millions": points[0].millions, **_judgement(fitted.law, points, replicas)}
            for run, points in tested.items()
        },
        "alternatives": [
            asdict(one) for one in alternatives(curves.fitted, curves.tested, inputs.seed, inputs.starts)
        ],
        "extrapolations": [asdict(one) for one in extrapolations(curves.fitted, inputs.seed, inputs.starts)],
    }


def _judgement(law: ScalingLaw, points: list[CurvePoint], replicas: Sequence[Replica]) -> dict[str, float]:
    """Metrics on one held-out model, and the share of its losses within the intervals."""
    metrics = score(law, points) | {"from_step": min(point.steps for point in points)}
    if replicas:
        low, high = prediction_interval(replicas, points[0].millions, [point.steps for point in points])
        losses = np.array([point.loss for point in points])
        metrics["within_interval"] = float(np.mean((low <= losses) & (losses <= high)))
    return metrics
