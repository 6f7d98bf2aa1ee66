"""Molecules that other processes prepare are predicted to the same bytes."""

from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from unimol2_flows.predict import DaskCluster, predict
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.params import Params
from unimol2_tasks.stages import predict as stage

pytest.importorskip("prefect_dask", reason="needs the extra dask")
pytestmark = pytest.mark.usefixtures("prefect_home")


def test_a_dask_cluster_gives_the_same_bytes(
    tmp_path: Path, tiny_table: Path, tiny_predictor: ArtifactRef, tiny_params: Params
) -> None:
    units = tiny_params.predict.model_copy(update={"unit_rows": 7})
    params = tiny_params.model_copy(update={"predict": units})
    here, there = tmp_path / "here.csv", tmp_path / "there.csv"
    stage.run(params, stage.PredictInputs(tiny_predictor.uri, str(tiny_table)), str(here))
    cluster = DaskCluster(workers=2)
    ref = predict(tiny_predictor.uri, str(tiny_table), str(there), params, dask=cluster)
    assert ref.kind == "predictions"
    assert there.read_bytes() == here.read_bytes()
    assert not (tmp_path / ".work").exists()
    with get_client(sync_client=True) as client:
        of_predictions = ArtifactFilter(key=ArtifactFilterKey(any_=["unimol2-predictions"]))
        cards = client.read_artifacts(artifact_filter=of_predictions)
    assert str(there) in [card.description for card in cards]
