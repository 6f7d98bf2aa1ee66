"""A search whose artifacts, and whose unfinished work, lie on S3; its trainings take no time."""

import json
from pathlib import Path

import boto3
import pytest

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.errors import TrainingFailed
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.stages import finetune, search
from unimol2_tasks.training.continuation import determining

RATES = [1e-4, 2e-4, 1e-3]


class Training:
    """Stands in for fine-tuning; the second rate is the best, and the third start is stopped."""

    def __init__(self) -> None:
        self.trained: list[float] = []
        self.stopped = False

    def __call__(
        self, params: Params, inputs: finetune.FinetuneInputs, out: str, store: Store = Store()
    ) -> ArtifactRef:
        recipe = Recipe("predictor", {"finetune": determining(params.finetune)})
        if (found := store.find(recipe, out)) is not None:
            return found
        if len(self.trained) == 2 and not self.stopped:
            self.stopped = True
            raise TrainingFailed("preempted", "preempted")
        rate = params.finetune.learning_rate
        self.trained.append(rate)
        with store.draft(out) as draft:
            (draft / "metrics.json").write_text(json.dumps({"valid/loss": abs(rate - 2e-4)}))
            return store.publish(draft, out, recipe)


@pytest.mark.parametrize("work", [None, "/work"])
def test_a_search_on_s3_goes_on_and_leaves_nothing_behind(
    s3_environment: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, work: str | None
) -> None:
    training = Training()
    monkeypatch.setattr(finetune, "run", training)
    with Store().draft("dataset") as draft:
        Store().publish(draft, "dataset", Recipe("dataset", {}))
    place = f"searches/{'elsewhere' if work else 'beside'}"
    out = f"{s3_environment}/{place}"
    where = None if work is None else f"{s3_environment}{work}"
    params = parse_params({"search": {"space": {"learning_rate": RATES}}})
    inputs = search.SearchInputs("dataset", None, out)

    with pytest.raises(TrainingFailed):
        search.run(params, inputs, out, Store(), work=where)
    ref = search.run(params, inputs, out, Store(), work=where)
    assert sorted(training.trained) == RATES, "one was trained twice, or never"
    assert search.best_params(params, ref).finetune.learning_rate == 2e-4
    assert Store().fetch(out, "predictor").manifest.params["finetune"]["learning_rate"] == 2e-4

    listing = boto3.client("s3", endpoint_url=s3_endpoint).list_objects_v2(Bucket="unimol2")
    keys = [entry["Key"] for entry in listing["Contents"]]
    assert not [key for key in keys if key.startswith("work/")]
    kinds = {key.removeprefix(f"{place}/").partition("/")[0] for key in keys if key.startswith(place)}
    assert kinds == {"search", "predictor"}
    assert not list(Path().rglob("outcomes"))
