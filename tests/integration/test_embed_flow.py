"""The flow `embed` gives the bytes of the command, also where other processes prepare the molecules."""

from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from unimol2_flows.embed import DaskCluster, embed
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.params import Params
from unimol2_tasks.stages import predict as stage

pytestmark = pytest.mark.usefixtures("prefect_home")


def test_a_dask_cluster_and_this_machine_give_the_same_bytes(
    tmp_path: Path, tiny_table: Path, tiny_model: ArtifactRef, tiny_params: Params
) -> None:
    pytest.importorskip("prefect_dask", reason="needs the extra dask")
    units = tiny_params.predict.model_copy(update={"unit_rows": 7})
    params = tiny_params.model_copy(update={"predict": units})
    command, here, there = (tmp_path / f"{name}.csv" for name in ("command", "here", "there"))
    inputs = stage.PredictInputs(tiny_model.uri, str(tiny_table))
    stage.run_embed(params, inputs, str(command), atoms=True)
    ref = embed(tiny_model.uri, str(tiny_table), str(here), params, atoms=True)
    cluster = DaskCluster(workers=2)
    shared = embed(tiny_model.uri, str(tiny_table), str(there), params, dask=cluster, atoms=True)
    assert ref.kind == shared.kind == "embeddings"
    assert command.read_bytes() == here.read_bytes() == there.read_bytes()
    assert not (tmp_path / ".work").exists()
    with get_client(sync_client=True) as client:
        of_embeddings = ArtifactFilter(key=ArtifactFilterKey(any_=["unimol2-embeddings"]))
        cards = client.read_artifacts(artifact_filter=of_embeddings)
    assert {str(here), str(there)} <= {card.description for card in cards}


def test_a_dataset_is_refused(tmp_path: Path, tiny_table: Path, tiny_dataset: ArtifactRef) -> None:
    with pytest.raises(Exception, match="is a dataset; only a model"):
        embed(tiny_dataset.uri, str(tiny_table), str(tmp_path / "out.csv"))
