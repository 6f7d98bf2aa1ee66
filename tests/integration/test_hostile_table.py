"""A table with every kind of damage: each of its rows ends in exactly one place, with a reason to act on."""

import csv
import os
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from unimol2_tasks.artifacts.store import LocalArtifact, Store
from unimol2_tasks.datasets.dataset import MoleculeDataset, open_dataset
from unimol2_tasks.datasets.ledger import Reject, read_ledger
from unimol2_tasks.params import PrepareParams
from unimol2_tasks.stages.prepare import PrepareInputs, run

ROWS = 2000
PARAMS = PrepareParams(
    conformers=1, workers=2, conformer_timeout=5, max_atoms=100, split="random", unit_rows=256
)
PEPTIDE = "N[C@@H](C)C(=O)" * 120 + "O"
HUGE_RING = "C1" + "C" * 46 + "C1"

# What is written into the SMILES column, and what the ledger must say; None: it is a molecule.
DAMAGE: list[tuple[str, str | None]] = [
    ("", "empty SMILES"),
    ("   ", "empty SMILES"),
    ("nan", "parse"),
    ("CCX", "syntax error"),
    ("C1CC", "unclosed ring"),
    ("C(C", "parse"),
    ("CN(C)(C)(C)C", "valence"),
    ("c1cccc1", "kekulize"),
    ("CCO>>CC=O", "reaction"),
    ("C*", "wildcard"),
    ("[R1]CC", "parse"),
    ("[#6]-[!C]", "parse"),
    ("=HYPERLINK(0)", "syntax error"),
    ('=cmd|" /C calc"!A0', "syntax error"),
    ("+1", "syntax error"),
    ("@SUM(A1:A9)", "syntax error"),
    (PEPTIDE, "max_atoms is 100"),
    ("[H][H]", "no heavy atoms"),
    ("C, C", "parse"),
    ("C\n\nC", "parse"),
    ("\u2028C", None),
    ("Cöl", "parse"),
    ("[Na+].[Cl-]", None),
    ("[Fe+2]", None),
    ("C[Hg]C", None),
    ("CC[Pb](CC)(CC)CC", None),
    ("[CH3]", None),
    ("C[N+](C)(C)C.[Br-]", None),
    ("[13CH4]", None),
    ("[2H]C([2H])([2H])O", None),
    ("C[C@H](O)F.Cl.Cl", None),
    (HUGE_RING, None),
    ("[He]", None),
]
BAD_LABELS = ["high", "1,5", "inf", "0x10"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What became of the table."""

    artifact: LocalArtifact
    dataset: MoleculeDataset
    rejects: dict[int, Reject]


@pytest.fixture(scope="module")
def rows(project_root: Path) -> list[bytes]:
    """The lines of the table below its header; a row of a line each, but for two with line ends inside."""
    with (project_root / "data" / "demo" / "molecules.csv").open(newline="") as stream:
        real = [record["smiles"] for record in csv.DictReader(stream)]
    lines: list[bytes] = []
    for smiles, _ in DAMAGE:
        lines.append(_line(smiles, "damaged"))
    lines += [_line("CCN", label) for label in BAD_LABELS]
    lines += [_line("CCCN", text) for text in ("", "NaN", "na", "null")]
    lines += [b"CC\xff\xfeO,id,1", b"CCO,caf\xe9,1", b"CCO", b"CCO,a,1,2,3", b'"CCO, ethanol",a,1']
    lines += [_line(smiles, "1.5") for smiles in (*real[:40], *real[:40])]
    lines += [_line(smiles, str(number)) for number, smiles in enumerate(real[40:])]
    lines = lines[:ROWS]
    random.Random(0).shuffle(lines)
    return lines


def _line(smiles: str, label: str) -> bytes:
    quoted = '"' + smiles.replace('"', '""') + '"' if set(smiles) & set(',"\n') else smiles
    value = f'"{label}"' if "," in label else label
    return f"{quoted},same id,{'' if label == 'damaged' else value}".encode()


@pytest.fixture(scope="module")
def prepared(rows: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "table.csv").write_bytes(b"\xef\xbb\xbfsmiles,id,value\r\n" + b"\r\n".join(rows) + b"\r\n")
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    inputs = PrepareInputs(str(folder / "table.csv"), label_columns=("value",))
    artifact = Store().fetch(run(PARAMS, inputs, str(folder / "dataset")).uri)
    left = [process for process in psutil.Process().children(recursive=True) if process.pid not in before]
    # The fork server and its resource tracker stay for the next pool; the workers are children of the former.
    assert not [process for process in left if process.ppid() != os.getpid()]
    rejects = {reject.row: reject for reject in read_ledger(artifact.path / "rejects.csv")}
    return Prepared(artifact, open_dataset(artifact.path), rejects)


def test_every_row_is_in_exactly_one_place(prepared: Prepared) -> None:
    molecules = Counter(prepared.dataset.record(index).row for index in range(len(prepared.dataset)))
    assert sorted([*molecules.elements(), *prepared.rejects]) == list(range(1, ROWS + 1))
    counts = prepared.artifact.manifest.rows
    assert counts is not None
    assert (counts.rows_in, counts.out, counts.rejects) == (
        ROWS,
        len(prepared.dataset),
        len(prepared.rejects),
    )


@pytest.mark.parametrize(("smiles", "reason"), DAMAGE, ids=range(len(DAMAGE)))
def test_the_reason_says_what_is_wrong(
    prepared: Prepared, rows: list[bytes], smiles: str, reason: str | None
) -> None:
    row = rows.index(_line(smiles, "damaged")) + 1
    reject = prepared.rejects.get(row)
    if reason is None:
        # A duplicate of a real row of the table is in the right place too.
        assert reject is None or reject.stage == "deduplicate", reject
        return
    assert reject is not None, smiles
    assert reason.lower() in f"{reject.stage} {reject.reason}".lower()
    assert "Traceback" not in reject.reason
    assert len(reject.reason) < 300


def test_labels_that_are_no_numbers_are_named(prepared: Prepared, rows: list[bytes]) -> None:
    for label in BAD_LABELS:
        reject = prepared.rejects[rows.index(_line("CCN", label)) + 1]
        assert reject.stage == "read"
        assert "'value'" in reject.reason
        assert label in reject.reason


def test_bytes_that_are_no_text_cost_their_row_only(prepared: Prepared, rows: list[bytes]) -> None:
    for line in (b"CC\xff\xfeO,id,1", b"CCO,caf\xe9,1"):
        reject = prepared.rejects[rows.index(line) + 1]
        assert reject.stage == "read"
        assert "UTF-8" in reject.reason


def test_duplicates_name_the_row_that_stays(prepared: Prepared) -> None:
    kept = {prepared.dataset.record(index).row for index in range(len(prepared.dataset))}
    merged = [reject for reject in prepared.rejects.values() if reject.stage == "deduplicate"]
    assert len(merged) >= 40
    for reject in merged:
        assert int(reject.reason.rpartition(" ")[2]) in kept
