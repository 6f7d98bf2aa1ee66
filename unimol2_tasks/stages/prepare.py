"""From a table of molecules to a dataset.

A run that was killed goes on from the files that its passes left and ends with the same bytes.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.s3 import is_s3
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.artifacts.workspace import Workspace
from unimol2_tasks.datasets.columns import ColumnChoice
from unimol2_tasks.datasets.readers import read_table, table_digest, table_files
from unimol2_tasks.errors import TableError
from unimol2_tasks.params.prepare import SPLIT_SETTINGS, PrepareParams
from unimol2_tasks.stages.preparation.assembly import Assembly
from unimol2_tasks.stages.preparation.passes import Passes
from unimol2_tasks.stages.preparation.units import WorkOn, work_here
from unimol2_tasks.versioning import DataVersion, table_at, version_of

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PrepareInputs:
    """The table, and what a person said about its columns."""

    table: str
    """A file, folder or glob, local or `s3://…`; see `datasets.readers.read_table`."""
    smiles_column: str | None = None
    id_column: str | None = None
    label_columns: tuple[str, ...] | None = None
    """None: every other column whose values are numbers."""
    rev: str | None = None
    """Git revision of the repository that holds the table, as of which it is read; none: as it is now."""


def run(
    params: PrepareParams,
    inputs: PrepareInputs,
    out: str,
    store: Store = Store(),
    work_on: WorkOn | None = None,
    work: str | None = None,
) -> ArtifactRef:
    """Make a dataset: standardised molecules with conformers, splits and a reject ledger.

    The result depends on the table's bytes, the parameters and the code alone; an artifact at `out` that was
    made from the same is returned as it is. Where the table is kept by Git or DVC, the manifest's `run` says
    as `data_version` which version was read, which is no part of the dataset's digest.

    Args:
        params: What is done.
        inputs: The table.
        out: A new folder, or a prefix on S3.
        store: How S3 is reached.
        work_on: Who works on the units; none: processes of this machine.
        work: Folder or S3 prefix for unfinished work, which whoever works must reach; none: beside `out`, or
            beside the store's cache where `out` is on S3.

    Raises:
        TableError: The table cannot be read, or none of its rows is a usable molecule.
        ArtifactError: Something else is at `out`.
        UserError: The repository has no such revision, or the revision no such table.
    """
    if inputs.rev is None:
        version = partial(_version, inputs.table, store)
        return _prepare(params, inputs, out, store, work_on, work, version)
    if is_s3(inputs.table):
        raise TableError(f"{inputs.table}: rev is for tables in a Git repository; leave it out")
    with store.draft(out) as place:
        table, read = table_at(inputs.table, inputs.rev, place)
        try:
            there = replace(inputs, table=table)
            return _prepare(params, there, out, store, work_on, work, lambda: read)
        except TableError as error:
            said = str(error).replace(table, inputs.table)
            raise TableError(f"{said} (as of revision {inputs.rev})") from None


def _version(table: str, store: Store) -> DataVersion | None:
    return None if is_s3(table) else version_of([Path(file) for file in table_files(table, store)])


def _prepare(
    params: PrepareParams,
    inputs: PrepareInputs,
    out: str,
    store: Store,
    work_on: WorkOn | None,
    work: str | None,
    version: Callable[[], DataVersion | None],
) -> ArtifactRef:
    recipe = _recipe(params, inputs, store)
    workspace = _workspace(params, recipe, out, store, work)
    with workspace.alone():
        found = store.find(recipe, out)
        if found is not None:
            _LOGGER.info("%s: already made from this table and these parameters", out)
            workspace.remove()
            return found
        try:
            made = _make(params, inputs, recipe, out, workspace, work_on, version())
        except TableError:
            # Another table is another preparation: nobody will go on with this one.
            workspace.remove()
            raise
        workspace.remove()
        return made


def _make(
    params: PrepareParams,
    inputs: PrepareInputs,
    recipe: Recipe,
    out: str,
    workspace: Workspace,
    work_on: WorkOn | None,
    version: DataVersion | None,
) -> ArtifactRef:
    started = time.monotonic()
    store = workspace.store
    choice = ColumnChoice(
        inputs.smiles_column, inputs.id_column, inputs.label_columns, split=params.split_column
    )
    table = read_table(inputs.table, choice, store)
    passes = Passes(params, table, workspace, work_on or partial(work_here, workers=params.workers))
    units = passes.identify()
    counts = passes.deduplicate(units)
    passes.build(units.number, counts.molecules)
    with store.draft(out) as draft:
        rows = Assembly(draft, passes, units, counts).write()
        about = {} if version is None else {"data_version": asdict(version)}
        seconds = round(time.monotonic() - started, 3)
        return store.publish(draft, out, recipe, rows, {"seconds": seconds, **about})


def _workspace(params: PrepareParams, recipe: Recipe, out: str, store: Store, work: str | None) -> Workspace:
    """Where the passes leave their files; other splits of the same molecules find them again."""
    # The column of splits is read with the table.
    of_table = SPLIT_SETTINGS - {"split_column"}
    settings = {key: value for key, value in recipe.params.items() if key not in of_table}
    # Files of units of another size are of no use.
    place = out if is_s3(out) else str(Path(out).absolute())
    parts = replace(recipe, params=settings | {"out": place, "unit_rows": params.unit_rows})
    folder = store.work_folder(out, parts)
    return Workspace(str(folder) if work is None else f"{work.rstrip('/')}/{folder.name}", store)


def _recipe(params: PrepareParams, inputs: PrepareInputs, store: Store) -> Recipe:
    columns = {key: value for key, value in asdict(inputs).items() if key not in ("table", "rev")}
    parents = files_read(params, inputs.table, store)
    return Recipe("dataset", determining(params) | {"columns": columns}, parents)


def determining(params: PrepareParams) -> dict[str, Any]:
    """The parameters that set what comes out, as plain JSON; of the file of splits its content counts.

    How the work is cut and shared out changes how long it takes.
    """
    return params.model_dump(mode="json", exclude={"workers", "unit_rows", "split_file"})


def of_molecules(params: PrepareParams) -> dict[str, Any]:
    """Of those the ones that make a molecule what it is, and not a table's splits."""
    return {key: value for key, value in determining(params).items() if key not in SPLIT_SETTINGS}


def files_read(params: PrepareParams, table: str, store: Store) -> dict[str, str]:
    """Digests of the table and of the file of splits, if there is one, by the names of these parents.

    Raises:
        UserError: One of them cannot be read.
    """
    digests = {"table": table_digest(table, store)}
    if params.split_file is not None:
        digests["splits"] = store.digest(params.split_file)
    return digests
