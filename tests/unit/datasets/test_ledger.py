from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unimol2_tasks.datasets.ledger import LedgerWriter, Reject, read_ledger
from unimol2_tasks.errors import ArtifactError

texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00\r"), max_size=20)


def write(path: Path, *batches: list[Reject]) -> None:
    with LedgerWriter(path) as ledger:
        for batch in batches:
            ledger.write(batch)


@settings(max_examples=40)
@given(
    entries=st.lists(st.tuples(st.sampled_from(["", "=", "'", "@"]), texts, texts.filter(bool)), max_size=10),
    cut=st.integers(0, 10),
)
def test_any_text_survives_and_rows_are_ordered(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, str, str]], cut: int
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "rejects.csv"
    rejects = [
        Reject(row, start + text, "parse", reason)
        for row, (start, text, reason) in enumerate(entries, start=1)
    ]
    write(path, rejects[:cut][::-1], rejects[cut:])
    assert path.read_text(encoding="utf-8").startswith("row,input,stage,reason\n")
    assert read_ledger(path) == rejects


def test_a_spreadsheet_finds_no_formula(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    formulas = ['=HYPERLINK("http://x")', "+A1", "-1+A1", "@SUM(A1)", "\tx"]
    write(path, [Reject(row, text, "parse", "bad") for row, text in enumerate(formulas, start=1)])
    shown = pl.read_csv(path)["input"].to_list()
    assert shown == ["'" + text for text in formulas]


def test_a_row_is_rejected_only_once(tmp_path: Path) -> None:
    twice = [Reject(1, "C", "parse", "a"), Reject(1, "C", "parse", "b")]
    with pytest.raises(ArtifactError, match=r"rejects\.csv: column row"):
        write(tmp_path / "rejects.csv", twice)
    with pytest.raises(ArtifactError, match=r"rejects\.csv: row 1 comes after row 1"):
        write(tmp_path / "rejects.csv", twice[:1], twice[1:])


def test_the_first_rejects_are_remembered(tmp_path: Path) -> None:
    rejects = [Reject(row, "C", "parse", "bad") for row in range(1, 6)]
    with LedgerWriter(tmp_path / "rejects.csv", remember=3) as ledger:
        ledger.write(rejects[:2])
        ledger.write(rejects[2:])
        assert (ledger.rows, ledger.first) == (5, rejects[:3])


@pytest.mark.parametrize("content", ["", "row,input\n1,C\n", "row,input,stage,reason\nx,C,parse,bad\n"])
def test_what_is_no_ledger_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "rejects.csv"
    path.write_text(content)
    with pytest.raises(ArtifactError, match=r"rejects\.csv: "):
        read_ledger(path)
