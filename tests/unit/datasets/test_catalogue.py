"""The catalogue: complete facts, and hashes that fit the real files."""

import csv
import gzip
import hashlib
import io
import shlex
from pathlib import Path

import pytest
from pydantic import ValidationError

from unimol2_tasks.datasets.catalogue import PublicDataset, SourceFile, catalogue, find_dataset
from unimol2_tasks.errors import UserError

# Where shared/data keeps the tables; what it packed is unpacked upstream.
TABLES = {
    "qm9-3000": "qm9_3000/qm9_3000.csv",
    "compas-1d": "compas_1d/compas_1d.csv",
    "biogen-adme": "biogen_adme/ADME_public_set_3521.csv",
    "lipophilicity": "moleculenet/Lipophilicity.csv",
    "bbbp": "moleculenet/BBBP.csv",
    "bace": "moleculenet/bace.csv.gz",
    "hiv": "moleculenet/HIV.csv.gz",
}


def upstream_bytes(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def facts(content: bytes) -> tuple[int, str]:
    return len(content), hashlib.sha256(content).hexdigest()


def known(file: SourceFile) -> tuple[int, str]:
    return file.size, file.sha256


@pytest.mark.parametrize("name", TABLES)
def test_size_and_hash_are_those_of_the_real_file(shared_dir: Path, name: str) -> None:
    content = upstream_bytes(shared_dir / "data" / TABLES[name])
    assert facts(content) == known(find_dataset(name).table)


@pytest.mark.parametrize("name", TABLES)
def test_columns_and_rows_are_those_of_the_real_table(shared_dir: Path, name: str) -> None:
    dataset = find_dataset(name)
    text = upstream_bytes(shared_dir / "data" / TABLES[name]).decode()
    header, *rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    named = {dataset.smiles_column, dataset.id_column, *(target.name for target in dataset.targets)}
    assert named - {None} <= set(header)
    assert len(rows) == dataset.rows
    for target in dataset.targets:
        values = {row[header.index(target.name)] for row in rows} - {""}
        assert (values == {"0", "1"}) == (target.task == "binary"), target.name


def test_published_splits_of_biogen_adme_are_verified(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "biogen_adme" / "source_splits"
    published = {path.name: facts(path.read_bytes()) for path in folder.iterdir()}
    assert {file.filename: known(file) for file in find_dataset("biogen-adme").extras} == published


def test_names_and_files_are_distinct() -> None:
    names = [dataset.name for dataset in catalogue()]
    assert len(set(names)) == len(names)
    for dataset in catalogue():
        files = [file.filename for file in (dataset.table, *dataset.extras)]
        assert len(set(files)) == len(files)


@pytest.mark.parametrize("dataset", catalogue(), ids=lambda dataset: dataset.name)
def test_every_measured_target_has_a_unit(dataset: PublicDataset) -> None:
    assert [
        target.name for target in dataset.targets if (target.task == "regression") != bool(target.unit)
    ] == []


@pytest.mark.parametrize("dataset", catalogue(), ids=lambda dataset: dataset.name)
def test_the_prepare_command_survives_a_shell(dataset: PublicDataset) -> None:
    words = shlex.split(dataset.prepare_command(Path("my data/table.csv")))
    assert words[:4] == ["unimol2", "prepare", "--input", "my data/table.csv"]
    labels = words[words.index("--label-columns") + 1]
    assert labels.split(",") == ([target.name for target in dataset.targets] or ["none"])


def test_a_dataset_says_by_smiles_or_by_geometries_what_its_molecules_are() -> None:
    values = find_dataset("qm9-3000").model_dump()
    with pytest.raises(ValidationError, match="give smiles_column or geometries"):
        PublicDataset.model_validate(values | {"smiles_column": "smiles"})
    with pytest.raises(ValidationError, match="geometries need id_column"):
        PublicDataset.model_validate(values | {"id_column": None})


def test_published_geometries_are_kept_by_the_prepare_command() -> None:
    command = find_dataset("qm9-3000").prepare_command(Path("qm9-3000.sdf"))
    assert "--set prepare.coordinates=keep" in command
    assert "--smiles-column" not in command


def test_a_misspelt_name_gets_its_neighbour() -> None:
    assert find_dataset("QM9").name == "qm9"
    with pytest.raises(UserError, match=r"'compas1d'.*compas-1d"):
        find_dataset("compas1d")
