import json
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest
from rdkit import Chem

from unimol2_tasks.chemistry import leakage
from unimol2_tasks.chemistry.leakage import leakage_report
from unimol2_tasks.chemistry.scaffolds import murcko_scaffold
from unimol2_tasks.chemistry.split_names import Split
from unimol2_tasks.errors import TableError

TRAIN = ["CCc1ccccc1", "CCCc1ccccc1", "C1CCNCC1", "CCCCO", "N[C@@H](C)C(=O)O"]
VALID = ["c1ccsc1"]
TEST = ["CCCCc1ccccc1", "c1ccc2ccccc2c1", "CCCCCO", "N[C@H](C)C(=O)O"]
SMILES = TRAIN + VALID + TEST
SPLITS: list[Split] = ["train"] * len(TRAIN) + ["valid"] * len(VALID) + ["test"] * len(TEST)  # type: ignore[assignment]


def _table(smiles: Sequence[str]) -> pl.DataFrame:
    mols = [Chem.MolFromSmiles(text) for text in smiles]
    return pl.DataFrame(
        {
            "id": [f"m{row}" for row in range(len(mols))],
            "smiles": [Chem.MolToSmiles(mol) for mol in mols],
            "inchikey": [Chem.MolToInchiKey(mol) for mol in mols],
            "scaffold": [murcko_scaffold(mol) for mol in mols],
        }
    )


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return leakage_report(_table(SMILES), SPLITS, seed=0)


def test_nearest_neighbours_are_measured(report: dict[str, Any]) -> None:
    test = report["test"]
    assert (test["molecules"], test["compared"], test["train_compared"]) == (4, 4, 5)
    assert test["sampled"] is False
    nearest = test["nearest_train_similarity"]
    # The D and L forms of alanine have the same fingerprint.
    assert nearest["share_at_least"]["1.0"] == 0.25
    assert 0 < nearest["quantiles"]["0.05"] < nearest["median"] < nearest["quantiles"]["0.95"] <= 1
    assert sum(nearest["histogram"]["counts"]) == 4
    assert nearest["histogram"]["counts"][-1] == 1
    assert len(nearest["histogram"]["edges"]) == len(nearest["histogram"]["counts"]) + 1
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_shared_scaffolds_are_counted(report: dict[str, Any]) -> None:
    test = report["test"]
    counted = (
        test["scaffolds"], test["scaffolds_shared_with_train"], test["molecules_with_shared_scaffold"]
    )  # fmt: skip
    # Benzene is shared, naphthalene is not; acyclic molecules have no scaffold to share.
    assert counted == (2, 1, 1)
    assert report["valid"]["scaffolds_shared_with_train"] == 0


def test_stereoisomers_across_splits_are_listed(report: dict[str, Any]) -> None:
    assert report["stereoisomers"]["skeletons_across_splits"] == 1
    assert report["stereoisomers"]["first"] == [
        {"skeleton": "QNAYBMKLOCPYGJ", "ids": ["m4", "m9"], "splits": ["train", "test"]}
    ]


def test_the_same_molecule_in_two_splits_is_refused() -> None:
    smiles = [*SMILES, "OCCCC", "c1cccs1"]
    with pytest.raises(TableError, match=r"2 molecules are in more than one split") as refusal:
        leakage_report(_table(smiles), [*SPLITS, "valid", "train"], 0)
    assert "id m3 (train), id m10 (valid)" in str(refusal.value)
    assert "id m5 (valid), id m11 (train)" in str(refusal.value)


def test_nothing_to_compare_is_nothing() -> None:
    alone = leakage_report(_table(TRAIN), ["train"] * len(TRAIN), 0)
    assert alone["test"] is None
    assert leakage_report(_table(TRAIN), ["test"] * len(TRAIN), 0)["test"] is None


def test_large_parts_are_sampled_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leakage, "HELD_OUT_SAMPLE", 3)
    monkeypatch.setattr(leakage, "TRAIN_SAMPLE", 4)
    sampled = leakage_report(_table(SMILES), SPLITS, 1)
    test = sampled["test"]
    assert (test["compared"], test["molecules"], test["train_compared"], test["train_molecules"]) == (
        3,
        4,
        4,
        5,
    )
    assert test["sampled"] is True
    assert sampled == leakage_report(_table(SMILES), SPLITS, 1)
