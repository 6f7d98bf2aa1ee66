"""What the flows ask for: each parameter with one type, one title and one explanation in Prefect's form.

Title and description stand in `json_schema_extra`: those of the field itself Prefect replaces by its own.
"""

from typing import Annotated, Any

from pydantic import Field

from unimol2_flows.cluster import DaskCluster
from unimol2_tasks.blocks import ArtifactStore, LaunchProfile
from unimol2_tasks.params import Params


def asked(title: str, description: str, **limits: Any) -> Any:
    """A field of the form, and what its values must be."""
    return Field(json_schema_extra={"title": title, "description": description}, **limits)


_TABLE = (
    "CSV, TSV, SMILES, SDF, Parquet or LMDB file, a folder or glob of them; local to the worker or s3://."
)
_PLACE = (
    "A folder or s3:// prefix; relative ones lie below the artifact store's root, else the worker's folder."
)

Table = Annotated[
    str, asked("Table of molecules", _TABLE, min_length=1, examples=["data/demo/molecules.csv"])
]
LabelledTable = Annotated[
    str,
    asked(
        "Labelled table", f"With measured values. {_TABLE}", min_length=1, examples=["data/demo/labelled.csv"]
    ),
]
Library = Annotated[
    str, asked("Library", f"What is predicted. {_TABLE}", min_length=1, examples=["data/demo/library.csv"])
]
LibraryOrNone = Annotated[
    str | None, asked("Library", f"What is predicted; empty: nothing is. {_TABLE}", min_length=1)
]
TableOrNone = Annotated[
    str | None, asked("Table of molecules", f"Empty where a dataset is given. {_TABLE}", min_length=1)
]
Out = Annotated[str, asked("Output", f"Where results go. {_PLACE}", min_length=1, examples=["runs/first"])]
KeyedOut = Annotated[
    str,
    asked(
        "Output",
        f"Where results go; {{key}} in it becomes a key of tables, columns, parameters and code, so that a "
        f"changed table gets a folder of its own. {_PLACE}",
        min_length=1,
        examples=["runs/nightly/{key}"],
    ),
]
OutFile = Annotated[
    str,
    asked(
        "Output file",
        "A .csv or .parquet file, local to the worker or s3://.",
        pattern=r"\.(csv|parquet)$",
        examples=["runs/predictions.csv"],
    ),
]
Parameters = Annotated[
    Params, asked("Parameters", "The sections of params.yaml; what is left out has its built-in default.")
]
SmilesColumn = Annotated[
    str | None, asked("SMILES column", "Empty: guessed by its name where that is unambiguous.", min_length=1)
]
IdColumn = Annotated[
    str | None,
    asked("ID column", "What rows are called; empty: guessed by its name, else their number.", min_length=1),
]
Atoms = Annotated[bool, asked("Atoms", "A row per heavy atom, instead of one per molecule.")]
LabelColumns = Annotated[
    list[str] | None, asked("Label columns", "Columns with values to learn; empty: all numeric ones.")
]
Model = Annotated[
    str | None,
    asked(
        "Model",
        "A pretrained model's folder or s3:// address; empty: training starts from scratch.",
        min_length=1,
    ),
]
Predictor = Annotated[
    str,
    asked("Predictor", "A predictor's folder or s3:// address.", min_length=1, examples=["runs/predictor"]),
]
EmbeddingModel = Annotated[
    str,
    asked(
        "Model",
        "Folder or s3:// address of a pretrained model, or of a predictor of a single training.",
        min_length=1,
        examples=["runs/model"],
    ),
]
Dataset = Annotated[
    str,
    asked(
        "Dataset", "A labelled dataset's folder or s3:// address.", min_length=1, examples=["runs/dataset"]
    ),
]
Launch = Annotated[
    LaunchProfile | None,
    asked("Launch profile", "How training is launched; empty: as the parameters say."),
]
ArtifactPlace = Annotated[
    ArtifactStore | None,
    asked(
        "Artifact store", "Where artifacts live; empty: folders, and S3 as the worker's AWS environment says."
    ),
]
Cluster = Annotated[
    DaskCluster | None,
    asked("Dask cluster", "Machines that share the work on molecules; empty: processes of the worker."),
]
Work = Annotated[
    str | None,
    asked(
        "Unfinished work",
        "Folder or s3:// prefix that every worker reaches; empty: `.work` beside the output.",
        min_length=1,
    ),
]
