"""Conversion between the released checkpoints and models of ours, without changing a bit."""

import json
from pathlib import Path

from unimol2_tasks.artifacts.manifest import ArtifactRef, sha256_of
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.errors import UserError


def from_released(checkpoint: Path, out: str, store: Store = Store()) -> ArtifactRef:
    """Publish a released `checkpoint.pt` as a model; no code in it is run.

    Raises:
        UserError: The file is missing, or holds anything but weights and plain settings.
    """
    from unimol2_model.released import WeightsError
    from unimol2_model.weights import convert
    from unimol2_tasks.training.network import WEIGHTS, write_config

    if not checkpoint.is_file():
        raise UserError(f"{checkpoint}: no such checkpoint")
    recipe = Recipe("model", {"converted": True}, {"checkpoint": sha256_of(checkpoint)})
    found = store.find(recipe, out)
    if found is not None:
        return found
    with store.draft(out) as draft:
        try:
            config = convert(checkpoint, draft / WEIGHTS)
        except WeightsError as error:
            raise UserError(str(error)) from None
        write_config(draft, config)
        (draft / "curve.csv").write_text("step\n", encoding="utf-8")
        (draft / "metrics.json").write_text(json.dumps({}) + "\n", encoding="utf-8")
        return store.publish(draft, out, recipe)


def to_released(model: str, out: Path, store: Store = Store()) -> None:
    """Write a model as a checkpoint that the released code reads.

    Raises:
        UserError: The model is missing or damaged, or `out` exists.
    """
    from unimol2_model.weights import convert
    from unimol2_tasks.training.network import WEIGHTS

    if out.exists():
        raise UserError(f"{out}: exists; choose another name or remove it")
    convert(store.fetch(model, "model").path / WEIGHTS, out)
