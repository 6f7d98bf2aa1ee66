import gzip
import logging
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unimol2_tasks.artifacts.s3 import S3Options, open_s3
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.datasets.columns import ColumnChoice
from unimol2_tasks.datasets.readers import Table, read_table, table_files
from unimol2_tasks.datasets.rows import InputRow
from unimol2_tasks.errors import TableError, UserError


def _fill(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        (folder / name.replace("_csv", ".csv").replace("_sdf", ".sdf")).write_text(content)
    return folder


def _values(table: Table) -> list[tuple[int, str, tuple[float | None, ...]]]:
    return [(row.row, row.structure.smiles, row.labels) for row in table.rows() if isinstance(row, InputRow)]


def test_a_folder_is_one_table_in_the_order_of_the_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _fill(tmp_path, b_csv="smiles,y\nCC,2\nCCC,3\n", a_csv="smiles,y\nC,1\n", README="x", _hidden="x")
    (tmp_path / ".hidden.csv").write_text("other\n")
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(b"y,smiles\n4,CCCC\n"))
    (tmp_path / "inner").mkdir()
    _fill(tmp_path / "inner", d_csv="smiles,y\nO,5\n")
    table = read_table(str(tmp_path), ColumnChoice())
    assert [Path(file).name for file in table.files] == ["a.csv", "b.csv", "c.csv.gz"]
    assert table.files == table_files(str(tmp_path))
    assert _values(table) == [(1, "C", (1.0,)), (2, "CC", (2.0,)), (3, "CCC", (3.0,)), (4, "CCCC", (4.0,))]
    assert "ignored, not of a known format: README" in caplog.text
    assert ".hidden" not in caplog.text


def test_a_pattern_chooses_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _fill(tmp_path, a1_csv="smiles\nC\n", a2_csv="smiles\nCC\n", b_csv="other\n1\n", a_sdf="")
    with caplog.at_level(logging.WARNING):
        table = read_table(str(tmp_path / "a*.csv"), ColumnChoice())
    assert _values(table) == [(1, "C", ()), (2, "CC", ())]
    assert not caplog.records


def test_a_file_with_brackets_in_its_name_is_no_pattern(tmp_path: Path) -> None:
    path = tmp_path / "t[1].csv"
    path.write_text("smiles\nC\n")
    assert table_files(str(path)) == (str(path),)


def test_columns_are_guessed_over_all_files(tmp_path: Path) -> None:
    _fill(tmp_path, a_csv="smiles,y\n", b_csv="smiles,y\nC,\n", c_csv="smiles,y\nCC,2\n")
    assert read_table(str(tmp_path), ColumnChoice()).label_names == ("y",)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("smiles\nC\n", r"b\.csv: no column 'y', which .*a\.csv has"),
        ("smiles,y,z\nC,1,2\n", r"b\.csv: column 'z', which .*a\.csv has not"),
        ("smiles,y,y\nC,1,2\n", r"b\.csv: column 'y' appears twice"),
        ("", r"b\.csv: no column 'smiles'"),
    ],
)
def test_files_with_other_columns_are_refused_at_once(tmp_path: Path, second: str, message: str) -> None:
    _fill(tmp_path, a_csv="smiles,y\nC,1\n", b_csv=second)
    with pytest.raises(TableError, match=message):
        read_table(str(tmp_path), ColumnChoice())


def test_several_formats_are_refused(tmp_path: Path) -> None:
    _fill(tmp_path, a_csv="smiles\nC\n", b_sdf="$$$$\n")
    with pytest.raises(TableError, match=r"several formats, a\.csv and b\.sdf; choose one by a pattern"):
        table_files(str(tmp_path))


def test_nothing_to_read_is_explained(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"no table there; expected files that end in \.csv"):
        table_files(str(tmp_path))
    with pytest.raises(TableError, match="no table there"):
        table_files(str(tmp_path / "*.csv"))
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(TableError, match=r"no table there.*found: notes\.txt"):
        table_files(str(tmp_path))
    with pytest.raises(TableError, match="unknown kind of table"):
        table_files(str(tmp_path / "notes.txt"))


@pytest.fixture(scope="module")
def s3() -> Iterator[Store]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = S3Options(f"http://{host}:{port}", key="key", secret="secret", region="us-east-1")
    open_s3(options).call_s3("create_bucket", Bucket="tables")
    yield Store(options)
    server.stop()


def test_folders_and_patterns_on_s3(s3: Store) -> None:
    fs = open_s3(s3.s3)
    fs.pipe_file("s3://tables/set/b.smi.gz", gzip.compress(b"CC two\n"))
    fs.pipe_file("s3://tables/set/a.smi", b"C one\n")
    fs.pipe_file("s3://tables/set/.hidden.smi", b"O\n")
    fs.pipe_file("s3://tables/set/inner/c.smi", b"O three\n")
    expected = ("s3://tables/set/a.smi", "s3://tables/set/b.smi.gz")
    assert table_files("s3://tables/set/", s3) == expected
    assert table_files("s3://tables/set/*.smi*", s3) == expected
    table = read_table("s3://tables/set/", ColumnChoice(), s3)
    assert _values(table) == [(1, "C", ()), (2, "CC", ())]
    with pytest.raises(TableError, match="s3://tables/empty/: no table there"):
        table_files("s3://tables/empty/", s3)
    with pytest.raises(UserError, match=r"s3://tables/absent\.csv: not found"):
        read_table("s3://tables/absent.csv", ColumnChoice(), s3)


def test_binary_formats_on_s3(s3: Store, tmp_path: Path) -> None:
    pq.write_table(pa.table({"smiles": ["C", "CC"], "y": [1.0, None]}), tmp_path / "t.parquet")
    open_s3(s3.s3).put_file(str(tmp_path / "t.parquet"), "s3://tables/t.parquet")
    table = read_table("s3://tables/t.parquet", ColumnChoice(), s3)
    assert _values(table) == [(1, "C", (1.0,)), (2, "CC", (None,))]


def test_an_lmdb_on_s3(s3: Store, shared_dir: Path) -> None:
    source = shared_dir / "data" / "unimol_lmdb" / "clintox_valid.lmdb"
    open_s3(s3.s3).put_file(str(source), "s3://tables/t.lmdb")
    assert len(_values(read_table("s3://tables/t.lmdb", ColumnChoice(), s3))) == 148
