"""Units of a preparation that other processes work on give the same dataset to the byte."""

from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
    ArtifactFilterType,
)

from unimol2_flows.prepare import DaskCluster, prepare, prepare_on_task_runner
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.params import Params

pytest.importorskip("prefect_dask", reason="needs the extra dask")
pytestmark = pytest.mark.usefixtures("prefect_home")


@pytest.fixture
def params(tiny_params: Params) -> Params:
    """Units of another size than those of the dataset that the result is compared with."""
    prepare = tiny_params.prepare.model_copy(update={"unit_rows": 7})
    return tiny_params.model_copy(update={"prepare": prepare})


def test_a_dask_cluster_gives_the_same_bytes(
    tmp_path: Path, tiny_table: Path, tiny_dataset: ArtifactRef, params: Params
) -> None:
    ref = prepare(str(tiny_table), str(tmp_path / "dataset"), params, dask=DaskCluster(workers=2))
    assert ref.digest == tiny_dataset.digest
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_any_task_runner_works_on_units(
    tmp_path: Path, tiny_table: Path, tiny_dataset: ArtifactRef, params: Params
) -> None:
    state = prepare_on_task_runner(str(tiny_table), str(tmp_path / "dataset"), params, return_state=True)
    ref = state.result()
    assert ref.digest == tiny_dataset.digest
    with get_client(sync_client=True) as client:
        of_dataset = ArtifactFilter(key=ArtifactFilterKey(any_=["unimol2-data-card", "unimol2-statistics"]))
        artifacts = client.read_artifacts(artifact_filter=of_dataset)
        bars = client.read_artifacts(
            artifact_filter=ArtifactFilter(
                type=ArtifactFilterType(any_=["progress"]),
                flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id]),
            )
        )
    shown = {(artifact.key, artifact.description) for artifact in artifacts}
    assert ("unimol2-data-card", ref.uri) in shown
    assert ("unimol2-statistics", f"{ref.uri}/statistics.html") in shown
    assert bars
