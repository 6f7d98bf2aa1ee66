"""Members of an ensemble on S3: beside it until they are joined, found again after an interruption."""

from typing import Any

import pytest

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.s3 import open_s3
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.stages import finetune

_PARAMS = parse_params({"finetune": {"seeds": [0, 1, 2]}})


def _publish(out: str, store: Store, recipe: Recipe, text: str) -> ArtifactRef:
    with store.draft(out) as draft:
        (draft / "weights").write_text(text)
        return store.publish(draft, out, recipe)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds that were trained, in a training that writes its seed and fails in the third start."""
    seeds: list[int] = []

    def train(self: Any, params: Params, out: str, store: Store) -> ArtifactRef:
        found = store.find(self.recipe(params), out)
        if found is not None:
            return found
        seeds.append(params.finetune.seed)
        if seeds == [0, 1, 2]:
            raise KeyboardInterrupt
        return _publish(out, store, self.recipe(params), str(params.finetune.seed))

    def join(members: list[str], out: str, store: Store) -> ArtifactRef:
        text = " ".join((store.fetch(uri, "predictor").path / "weights").read_text() for uri in members)
        return _publish(out, store, Recipe("predictor", {"joined": text}), text)

    monkeypatch.setattr(finetune._Sources, "train", train)
    monkeypatch.setattr(finetune.ensemble, "run", join)
    return seeds


def test_members_wait_beside_the_ensemble_and_stay_as_the_artifacts_that_they_are(
    s3_environment: str, trained: list[int]
) -> None:
    store = Store()
    dataset = _publish(f"{s3_environment}/seeds/dataset", store, Recipe("dataset", {}), "").uri
    inputs, out = finetune.FinetuneInputs(dataset, None), f"{s3_environment}/seeds/predictor"
    with pytest.raises(KeyboardInterrupt):
        finetune.run(_PARAMS, inputs, out, store)
    waiting = open_s3(store.s3).find(f"{out}-members")
    assert {key.split("/seed-")[1][0] for key in waiting} == {"0", "1"}

    ref = finetune.run(_PARAMS, inputs, out, store)
    assert trained == [0, 1, 2, 2]
    assert (store.fetch(ref.uri).path / "weights").read_text() == "0 1 2"
    open_s3(store.s3).invalidate_cache()
    kept = open_s3(store.s3).find(f"{out}-members")
    assert {key.split("/seed-")[1][0] for key in kept} == {"0", "1", "2"}
