from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unimol2_tasks.datasets.ledger import Reject, read_ledger, write_ledger
from unimol2_tasks.errors import ArtifactError

texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00\r"), max_size=20)


@settings(max_examples=40)
@given(entries=st.lists(st.tuples(texts, texts.filter(bool)), max_size=10))
def test_any_text_survives_and_rows_are_ordered(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "rejects.csv"
    rejects = [Reject(row, text, "parse", reason) for row, (text, reason) in enumerate(entries, start=1)]
    write_ledger(path, reversed(rejects))
    assert path.read_text(encoding="utf-8").startswith("row,input,stage,reason\n")
    assert read_ledger(path) == rejects


def test_a_row_is_rejected_only_once(tmp_path: Path) -> None:
    twice = [Reject(1, "C", "parse", "a"), Reject(1, "C", "parse", "b")]
    with pytest.raises(ArtifactError, match=r"rejects\.csv: column row"):
        write_ledger(tmp_path / "rejects.csv", twice)


@pytest.mark.parametrize("content", ["", "row,input\n1,C\n", "row,input,stage,reason\nx,C,parse,bad\n"])
def test_what_is_no_ledger_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "rejects.csv"
    path.write_text(content)
    with pytest.raises(ArtifactError, match=r"rejects\.csv: "):
        read_ledger(path)
