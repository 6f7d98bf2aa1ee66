"""The flow that prepares a dataset."""

from prefect import flow

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.blocks import ArtifactStore
from unimol2_tasks.params import Params
from unimol2_tasks.tasks import prepare_dataset


@flow(name="unimol2-prepare", flow_run_name="prepare {table}", result_serializer="json")
def prepare(
    table: str,
    out: str,
    params: Params = Params(),
    smiles_column: str | None = None,
    label_columns: list[str] | None = None,
    store: ArtifactStore | None = None,
) -> ArtifactRef:
    """Turn a table of molecules into a validated dataset with 3D conformers.

    Args:
        table: CSV, TSV or SMILES file, local or `s3://`.
        out: A new folder or an `s3://` prefix.
        params: Parameters; `prepare` counts here.
        smiles_column: Column with SMILES; none: guessed where unambiguous.
        label_columns: Columns with labels; none: all numeric ones.
        store: How S3 is reached; none: as the environment says.
    """
    return prepare_dataset(table, out, params, smiles_column, None, label_columns, store)
