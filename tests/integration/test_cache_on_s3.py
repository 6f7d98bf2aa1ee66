"""What Prefect serves from its cache, and what not, where tables and artifacts lie on S3."""

from pathlib import Path

import boto3
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from tests.integration.conftest import BUCKET
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.tasks import embed_table, prepare_dataset

pytestmark = pytest.mark.usefixtures("prefect_home")
SETTINGS = parse_params({"prepare": {"conformers": 1, "split": "random", "workers": 1}})


@flow
def prepare_and_embed(bucket: str, model: ArtifactRef, params: Params) -> ArtifactRef:
    """An artifact of many files below a prefix, and one that is a single file."""
    prepare_dataset(f"{bucket}/cached/tables/", f"{bucket}/cached/out", params)
    return embed_table(model, f"{bucket}/cached/tables/", f"{bucket}/cached/out/embeddings.csv", params)


def test_what_is_on_s3_is_served_while_it_is_there(
    s3_environment: str, s3_endpoint: str, tiny_model: ArtifactRef
) -> None:
    client = boto3.resource(
        "s3", endpoint_url=s3_endpoint, aws_access_key_id="key", aws_secret_access_key="secret"
    )
    bucket = client.Bucket(BUCKET)
    model = tiny_model.model_copy(update={"uri": str(Path(tiny_model.uri).absolute())})

    def states() -> dict[str, str | None]:
        run = prepare_and_embed(s3_environment, model, SETTINGS, return_state=True)
        run.result()
        only = FlowRunFilter(id=FlowRunFilterId(any_=[run.state_details.flow_run_id]))
        with get_client(sync_client=True) as prefect:
            tasks = prefect.read_task_runs(flow_run_filter=only)
        return {task.name.split()[0]: task.state_name for task in tasks}

    bucket.put_object(Key="cached/tables/a.csv", Body=b"smiles\nCCO\nCCN\nCCC\nCCCl\n")
    assert states() == {"prepare": "Completed", "embed": "Completed"}
    assert states() == {"prepare": "Cached", "embed": "Cached"}

    bucket.Object("cached/out/embeddings.csv").delete()
    assert states() == {"prepare": "Cached", "embed": "Completed"}
    bucket.objects.filter(Prefix="cached/out/dataset/").delete()
    assert states() == {"prepare": "Completed", "embed": "Cached"}
    assert states() == {"prepare": "Cached", "embed": "Cached"}

    bucket.put_object(Key="cached/tables/b.csv", Body=b"smiles\nCCBr\n")
    bucket.Object("cached/out/embeddings.csv").delete()
    assert states() == {"prepare": "Completed", "embed": "Completed"}
