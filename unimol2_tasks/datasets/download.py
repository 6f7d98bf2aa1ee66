"""Public data sets onto the disk, verified: what of them is there already is not fetched again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import polars as pl
from filelock import FileLock, Timeout

from unimol2_tasks.datasets.catalogue import PublicDataset, find_dataset
from unimol2_tasks.datasets.geometries import download_geometries, read_geometries, table_ids
from unimol2_tasks.datasets.transfer import DownloadFailed, Patience, get_file
from unimol2_tasks.datasets.xyz_table import write_sdf
from unimol2_tasks.errors import UserError

__all__ = ["DATA_FOLDER", "DownloadFailed", "Patience", "get_dataset", "get_source_files"]

DATA_FOLDER = Path(".unimol2/data")
_TIMEOUT = httpx.Timeout(60.0, connect=15.0)


def get_dataset(
    name: str, folder: Path = DATA_FOLDER, *, mirror: str | None = None, patience: Patience | None = None
) -> Path:
    """Download a data set of the catalogue, unless it is there already.

    Its files lie in `folder/name`. A file has its name only once its size and sha256 are right; what an
    interruption leaves is `NAME.part`, which the next call goes on from.

    Args:
        name: A name of the catalogue.
        folder: Where data sets are kept.
        mirror: `http://host[/prefix]` that has the files under the paths of their own addresses.
        patience: How often and how soon a failure is tried again.

    Returns:
        What `unimol2 prepare` reads: the table, or the SDF file made of it and the published geometries.

    Raises:
        UserError: There is no such data set, or `folder` cannot be written.
        DownloadFailed: No address has the file, or what they have is something else.
    """
    dataset = find_dataset(name)
    with _downloaded(dataset, folder, mirror, patience) as home:
        return _molecules(dataset, home)


def get_source_files(
    name: str, folder: Path = DATA_FOLDER, *, mirror: str | None = None, patience: Patience | None = None
) -> Path:
    """Download a data set as `get_dataset` does, but make no molecules of published geometries.

    Another download of it is waited for.

    Returns:
        The folder with its files.

    Raises:
        UserError: As `get_dataset`.
        DownloadFailed: As `get_dataset`.
    """
    with _downloaded(find_dataset(name), folder, mirror, patience, lock_timeout=-1) as home:
        return home


@contextmanager
def _downloaded(
    dataset: PublicDataset,
    folder: Path,
    mirror: str | None,
    patience: Patience | None,
    lock_timeout: float = 0,
) -> Iterator[Path]:
    """The folder with a data set's files, which nobody else writes to meanwhile."""
    home = folder / dataset.name
    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / ".lock", timeout=lock_timeout):
            _get_files(dataset, home, mirror, patience or Patience())
            yield home
    except Timeout:
        raise UserError(f"{home}: another download of {dataset.name} is under way; wait for it") from None
    except OSError as error:
        raise UserError(f"{home}: cannot be written: {error}; choose another --out") from None


def _get_files(dataset: PublicDataset, home: Path, mirror: str | None, patience: Patience) -> None:
    with httpx.Client(follow_redirects=True, timeout=_TIMEOUT) as client:
        for file in (dataset.table, *dataset.extras):
            get_file(client, file, home / file.filename, mirror, patience)
        if dataset.geometries is not None:
            ids = table_ids(home / dataset.table.filename, str(dataset.id_column))
            target = home / dataset.geometries.file
            download_geometries(client, dataset.geometries, ids, target, mirror, patience)


def _molecules(dataset: PublicDataset, home: Path) -> Path:
    table = home / dataset.table.filename
    if dataset.geometries is None:
        return table
    sdf = home / f"{dataset.name}.sdf"
    rows = pl.read_csv(table, infer_schema=False)
    labels = [target.name for target in dataset.targets]
    geometries = read_geometries(home / dataset.geometries.file)
    write_sdf(rows, str(dataset.id_column), labels, geometries, sdf)
    return sdf
