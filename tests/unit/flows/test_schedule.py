"""Where runs of a schedule put what they make."""

from pathlib import Path
from typing import Any

import pytest

from unimol2_flows.schedule import keyed
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.errors import UserError
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.stages import prepare


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of molecules."""
    path = tmp_path / "table.csv"
    path.write_text("smiles,gap\nCCO,1\nCCN,2\n")
    return path


def folder(table: Path, params: dict[str, Any] | None = None, **more: Any) -> str:
    """The key of a run over the table."""
    return keyed("{key}", parse_params(params or {}), None, str(table), **more)


@pytest.mark.parametrize(
    "params",
    [
        {"supervision": {"grace_seconds": 60.0}},
        {"launch": {"launcher": "slurm", "nodes": 2}},
        {"prepare": {"workers": 3, "unit_rows": 7}},
        {"pretrain": {"checkpoint_every": 7, "keep_checkpoints": 1, "loader_workers": 2}},
        {"finetune": {"max_skipped_steps": 3}},
        {"predict": {"batch_size": 3, "threads": 1, "unit_rows": 9}},
        {"search": {"trials": 3}},
        {"study": {"seed": 3}},
    ],
)
def test_what_cannot_change_an_artifact_does_not_move_it(table: Path, params: dict[str, Any]) -> None:
    assert folder(table, params) == folder(table)


@pytest.mark.parametrize(
    "params",
    [
        {"prepare": {"max_atoms": 50}},
        {"model": {"blocks": 3}},
        {"pretrain": {"steps": 7}},
        {"pretrain": {"ranks": 2}},
        {"finetune": {"epochs": 7}},
        {"finetune": {"seeds": [1, 2]}},
        {"evaluate": {"bootstrap": 0}},
        {"predict": {"coverage": 0.8}},
    ],
)
def test_another_artifact_gets_another_place(table: Path, params: dict[str, Any]) -> None:
    assert folder(table, params) != folder(table)


@pytest.mark.parametrize(
    "choice",
    [
        {"smiles_column": "structure"},
        {"label_columns": ["gap"]},
        {"label_columns": []},
        {"compare_with_scratch": False},
    ],
)
def test_what_the_flow_was_told_counts(table: Path, choice: dict[str, Any]) -> None:
    others: dict[str, Any] = {"smiles_column": None, "label_columns": None, "compare_with_scratch": True}
    assert folder(table, **(others | choice)) != folder(table, **others)


def test_the_content_of_given_splits_counts_and_not_their_place(table: Path, tmp_path: Path) -> None:
    def with_splits(path: Path) -> str:
        return folder(table, {"prepare": {"split": "file", "split_file": str(path)}})

    splits, moved = tmp_path / "splits.csv", tmp_path / "moved.csv"
    splits.write_text("id,split\n1,train\n")
    moved.write_text("id,split\n1,train\n")
    first = with_splits(splits)
    assert with_splits(moved) == first
    splits.write_text("id,split\n1,test\n")
    assert with_splits(splits) != first
    with pytest.raises(UserError, match=r"none\.csv: cannot be read"):
        with_splits(tmp_path / "none.csv")


def test_a_file_more_in_a_folder_of_tables_counts(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "a.csv").write_text("smiles\nC\n")
    first = folder(tmp_path / "tables")
    (tmp_path / "tables" / "b.csv").write_text("smiles\nCC\n")
    assert folder(tmp_path / "tables") != first


def test_only_sections_that_the_flow_has_count(table: Path) -> None:
    def of_preparation(params: dict[str, Any]) -> str:
        return folder(table, params, sections=["prepare"])

    assert of_preparation({"finetune": {"epochs": 7}}) == of_preparation({})
    assert of_preparation({"prepare": {"max_atoms": 50}}) != of_preparation({})


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_preparation_is_keyed_by_what_its_manifest_holds(table: Path, tmp_path: Path) -> None:
    """Else a dataset would be refused at its own place, or made again at another."""
    out = str(tmp_path / "dataset")
    given = parse_params({"prepare": {"conformers": 1, "split": "random", "workers": 1}})
    ref = prepare.run(given.prepare, prepare.PrepareInputs(str(table)), out)
    held = Store().fetch(ref.uri).manifest.params.keys() - {"columns"}
    for name in Params().prepare.model_dump().keys() - {"split", "split_column", "split_file"}:
        changed = given.prepare.model_copy(update={name: "another"})
        moved = keyed("{key}", given.model_copy(update={"prepare": changed}), None, str(table))
        assert (moved != keyed("{key}", given, None, str(table))) == (name in held), name
