"""The scaling study: the curves of several pretrained models become a law."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import LocalArtifact, Recipe, Store
from unimol2_tasks.errors import UserError
from unimol2_tasks.scaling.fit import CurvePoint, fit_scaling_law
from unimol2_tasks.scaling.law import ScalingLaw
from unimol2_tasks.stages.curves import read_curve

LAW = "law.json"


@dataclass(frozen=True, slots=True)
class ScalingInputs:
    """What the law is fitted to."""

    models: Sequence[str]
    """Pretrained models of at least two sizes."""
    skip_steps: int = 0
    """Steps at the start of each curve that do not count (the paper: 200,000)."""
    seed: int = 0


def run(inputs: ScalingInputs, out: str, store: Store = Store()) -> ArtifactRef:
    """Fit L(M, S, C) to the validation curves of the models and write `law.json`.

    Raises:
        UserError: A model is missing, or the curves are too few for a fit.
    """
    models = [store.fetch(uri, "model") for uri in inputs.models]
    recipe = Recipe(
        "law",
        {"skip_steps": inputs.skip_steps, "seed": inputs.seed},
        {f"model-{number}": model.manifest.digest for number, model in enumerate(models)},
    )
    found = store.find(recipe, out)
    if found is not None:
        return found
    points = [point for model in models for point in _points(model, inputs.skip_steps)]
    try:
        fitted = fit_scaling_law(points, inputs.seed)
    except ValueError as error:
        raise UserError(f"scaling: {error}") from None
    with store.draft(out) as draft:
        value = {
            "constants": {name: getattr(fitted.law, name) for name in "abcdef"},
            "metrics": fitted.metrics,
            "sizes": fitted.sizes,
            "agreeing_starts": fitted.agreeing_starts,
        }
        (draft / LAW).write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        return store.publish(draft, out, recipe)


def read_law(folder: Path) -> ScalingLaw:
    """The law of a published fit."""
    constants = json.loads((folder / LAW).read_text(encoding="utf-8"))["constants"]
    return ScalingLaw(**constants)


def _points(model: LocalArtifact, skip_steps: int) -> list[CurvePoint]:
    steps, losses = read_curve(model.path, "valid/loss")
    metrics = json.loads((model.path / "metrics.json").read_text(encoding="utf-8"))
    return [
        CurvePoint(run=model.uri, millions=metrics["parameters"] / 1e6, steps=step, loss=loss)
        for step, loss in zip(steps, losses, strict=True)
        if step > skip_steps
    ]
