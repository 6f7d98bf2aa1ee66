"""The flow that predicts a table."""

from prefect import flow

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import ArtifactStore, reference
from unimol2_tasks.params import Params
from unimol2_tasks.tasks import predict_table


@flow(name="unimol2-predict", flow_run_name="predict {table}", result_serializer="json")
def predict(
    predictor: str,
    table: str,
    out: str,
    params: Params = Params(),
    smiles_column: str | None = None,
    store: ArtifactStore | None = None,
) -> ArtifactRef:
    """Predict every row of a table, in its order.

    Args:
        predictor: A predictor's folder or `s3://` address.
        table: CSV, TSV or SMILES file, local or `s3://`.
        out: A `.csv` or `.parquet` file, local or `s3://`.
        params: Parameters; `predict` counts here.
        smiles_column: Column with SMILES; none: guessed where unambiguous.
        store: How S3 is reached; none: as the environment says.
    """
    return predict_table(reference(predictor, "predictor", store), table, out, params, smiles_column, store)
