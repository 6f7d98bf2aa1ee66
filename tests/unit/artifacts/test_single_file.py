from pathlib import Path

import pytest

from unimol2_tasks.artifacts.manifest import ArtifactRef, Rows
from unimol2_tasks.artifacts.single_file import find_file, publish_file
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.errors import ArtifactError

ONE_ROW = Rows(rows_in=1, out=1, rejects=0)
RECIPE = Recipe("predictions", {}, {"predictor": "ab", "table": "cd"})
OTHER = Recipe("predictions", {}, {"predictor": "ab", "table": "ef"})


def publish(out: Path, rows: Rows = ONE_ROW) -> ArtifactRef:
    store = Store()
    with store.draft(str(out)) as draft:
        (draft / out.name).write_text("row,value\n1,2\n")
        return publish_file(store, draft, str(out), RECIPE, rows)


def test_the_file_and_its_manifest_are_all_there_is(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "predictions.csv"
    ref = publish(out)
    names = sorted(path.name for path in out.parent.iterdir())
    assert names == ["predictions.csv", "predictions.csv.manifest.json"]
    assert out.read_text() == "row,value\n1,2\n"
    assert find_file(Store(), RECIPE, str(out)) == ref


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert find_file(Store(), RECIPE, str(tmp_path / "predictions.csv")) is None


def test_a_file_of_somebody_else_is_never_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "predictions.csv"
    out.write_text("mine")
    with pytest.raises(ArtifactError, match="exists and was not made by this command"):
        find_file(Store(), RECIPE, str(out))


def test_a_file_made_from_another_table_is_refused(tmp_path: Path) -> None:
    publish(tmp_path / "predictions.csv")
    with pytest.raises(ArtifactError, match="was made from other inputs, parameters or code"):
        find_file(Store(), OTHER, str(tmp_path / "predictions.csv"))


def test_an_edited_file_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "predictions.csv"
    publish(out)
    out.write_text("row,value\n1,3\n")
    with pytest.raises(ArtifactError, match="was changed since it was made"):
        find_file(Store(), RECIPE, str(out))


def test_a_removed_file_is_made_again(tmp_path: Path) -> None:
    out = tmp_path / "predictions.csv"
    ref = publish(out)
    out.unlink()
    assert find_file(Store(), OTHER, str(out)) is None
    assert publish(out) == ref


def test_lost_rows_are_refused_before_anything_is_visible(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="rows were lost"):
        publish(tmp_path / "predictions.csv", rows=Rows(rows_in=2, out=1, rejects=0))
    assert not list(tmp_path.iterdir())
