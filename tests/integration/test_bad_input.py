"""What the command line says to bad input: one readable message, exit code 2, nothing published."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from unimol2_tasks.artifacts.manifest import ArtifactRef


def run_unimol2(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line as a person runs it; COLUMNS keeps messages on one line."""
    return subprocess.run(
        [sys.executable, "-m", "unimol2_tasks.cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def assert_refused(result: subprocess.CompletedProcess[str], out: Path, *expected: str) -> None:
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    for text in expected:
        assert text in result.stderr
    assert not out.exists()
    leftovers = [path.name for path in out.parent.iterdir() if path.name.startswith(".draft")]
    assert leftovers == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("name,weight\nethanol,46\n", ["table.csv", "--smiles-column", "'name'", "'weight'"]),
        ("", ["table.csv", "no molecule in it"]),
        ("smiles,weight\n", ["table.csv", "no molecule in it"]),
        ("smiles\nnot-a-molecule\nC1CC\n", ["table.csv", "no molecule of 2 rows", "row 1", "not-a-molecule"]),
    ],
    ids=["no SMILES column", "empty file", "header alone", "only invalid SMILES"],
)
def test_a_table_without_molecules_is_refused(tmp_path: Path, content: str, expected: list[str]) -> None:
    (tmp_path / "table.csv").write_text(content, encoding="utf-8")
    result = run_unimol2(tmp_path, "prepare", "--input", "table.csv", "--out", "dataset")
    assert_refused(result, tmp_path / "dataset", *expected)


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    result = run_unimol2(tmp_path, "prepare", "--input", "absent.csv", "--out", "dataset")
    assert_refused(result, tmp_path / "dataset", "absent.csv")


def test_an_unknown_parameter_is_named_with_its_file(tmp_path: Path, tiny_table: Path) -> None:
    (tmp_path / "params.yaml").write_text("prepare:\n  conformer: 2\n", encoding="utf-8")
    result = run_unimol2(tmp_path, "prepare", "--input", str(tiny_table), "--out", "dataset")
    assert_refused(
        result, tmp_path / "dataset", "params.yaml", "prepare.conformer", "did you mean conformers?"
    )


def test_a_missing_checkpoint_is_refused(tmp_path: Path, tiny_dataset: ArtifactRef) -> None:
    arguments = [
        "finetune",
        "--dataset",
        str(Path(tiny_dataset.uri)),
        "--model",
        "absent",
        "--out",
        "predictor",
    ]
    result = run_unimol2(tmp_path, *arguments)
    assert_refused(result, tmp_path / "predictor", "absent", "no model there")
    result = run_unimol2(tmp_path, "convert", "absent.pt", "model")
    assert_refused(result, tmp_path / "model", "absent.pt")


def test_a_truncated_shard_is_named(tmp_path: Path, tiny_dataset: ArtifactRef) -> None:
    dataset = tmp_path / "dataset"
    shutil.copytree(tiny_dataset.uri, dataset)
    shard = next((dataset / "molecules").iterdir())
    shard.write_bytes(shard.read_bytes()[:-100])
    result = run_unimol2(tmp_path, "pretrain", "--dataset", "dataset", "--out", "model")
    assert_refused(result, tmp_path / "model", shard.name, "damaged")


def test_a_checkpoint_that_holds_code_is_refused(tmp_path: Path) -> None:
    import torch

    torch.save({"model": {}, "args": Path("/")}, tmp_path / "strange.pt")
    result = run_unimol2(tmp_path, "convert", "strange.pt", "model")
    assert_refused(result, tmp_path / "model", "strange.pt", "Path")


def test_an_existing_folder_is_never_overwritten(tmp_path: Path, tiny_table: Path) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "precious.txt").write_text("mine", encoding="utf-8")
    result = run_unimol2(tmp_path, "prepare", "--input", str(tiny_table), "--out", "dataset")
    assert result.returncode == 2
    assert "dataset" in result.stderr
    assert (tmp_path / "dataset" / "precious.txt").read_text(encoding="utf-8") == "mine"
