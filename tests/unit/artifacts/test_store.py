import json
import threading
from pathlib import Path

import pytest

from unimol2_tasks.artifacts import store as store_module
from unimol2_tasks.artifacts.manifest import MANIFEST, ArtifactRef, Rows
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.errors import ArtifactError, UserError

RECIPE = Recipe("model", {"seed": 0}, {"dataset": "ab"})
OTHER = Recipe("model", {"seed": 1}, {"dataset": "ab"})


def publish(store: Store, out: Path, recipe: Recipe = RECIPE, text: str = "weights") -> ArtifactRef:
    with store.draft(str(out)) as draft:
        (draft / "inner").mkdir()
        (draft / "inner" / "weights.bin").write_text(text)
        return store.publish(draft, str(out), recipe)


def test_what_is_published_is_found_by_its_recipe_and_verifies(tmp_path: Path) -> None:
    store, out = Store(), tmp_path / "runs" / "model"
    assert store.find(RECIPE, str(out)) is None
    ref = publish(store, out)
    assert store.find(RECIPE, str(out)) == ref
    fetched = store.fetch(str(out), "model", ref.digest)
    assert fetched.ref == ref
    assert (fetched.path / "inner" / "weights.bin").read_text() == "weights"


def test_nothing_but_the_artifact_is_left_beside_it(tmp_path: Path) -> None:
    publish(Store(), tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_others_may_read_a_published_folder(tmp_path: Path) -> None:
    publish(Store(), tmp_path / "model")
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o755


def test_a_draft_vanishes_when_making_it_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with Store().draft(str(tmp_path / "model")) as draft:
            (draft / "weights.bin").write_text("half")
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        fail()
    assert not list(tmp_path.iterdir())


def test_lost_rows_keep_an_artifact_from_being_published(tmp_path: Path) -> None:
    store, out = Store(), tmp_path / "dataset"
    with pytest.raises(ArtifactError, match="rows were lost"), store.draft(str(out)) as draft:
        store.publish(draft, str(out), Recipe("dataset", {}), Rows(rows_in=2, out=1, rejects=0))
    assert not list(tmp_path.iterdir())


def test_publishing_is_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until all files are on the disk there is nothing at the target."""
    out = tmp_path / "model"
    seen: list[bool] = []
    sync_tree = store_module.sync_tree

    def watch(folder: Path) -> None:
        seen.append(out.exists())
        assert (folder / MANIFEST).is_file()
        sync_tree(folder)

    monkeypatch.setattr(store_module, "sync_tree", watch)
    publish(Store(), out)
    assert seen == [False]
    assert (out / MANIFEST).is_file()


def test_another_recipe_is_refused_and_nothing_is_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "model"
    ref = publish(Store(), out)
    with pytest.raises(ArtifactError, match="holds a model made from other inputs, parameters or code"):
        Store().find(OTHER, str(out))
    with pytest.raises(ArtifactError, match="appeared while it was being made"):
        publish(Store(), out, OTHER, "other weights")
    assert Store().fetch(str(out)).ref == ref
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_of_two_publishers_at_once_one_wins_and_the_other_is_told(tmp_path: Path) -> None:
    out, refused, made = tmp_path / "model", [], []

    def work(text: str) -> None:
        try:
            made.append(publish(Store(), out, text=text))
        except ArtifactError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=work, args=(text,)) for text in ("one", "two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(refused) == 2
    assert Store().fetch(str(out)).ref == made[0]


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    out = tmp_path / "model"
    out.mkdir()
    assert Store().find(RECIPE, str(out)) is None
    assert publish(Store(), out) == Store().fetch(str(out)).ref


def test_a_half_written_folder_is_no_artifact(tmp_path: Path) -> None:
    out = tmp_path / "model"
    out.mkdir()
    (out / "weights.bin").write_text("half")
    with pytest.raises(ArtifactError, match=r"no model there \(no manifest\.json\); it was never finished"):
        Store().fetch(str(out), "model")
    with pytest.raises(ArtifactError, match="exists and is no artifact"):
        Store().find(RECIPE, str(out))


def test_a_file_at_the_place_of_a_folder_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "model"
    out.write_text("a letter")
    with pytest.raises(ArtifactError, match="exists and is no artifact"):
        Store().find(RECIPE, str(out))
    assert out.read_text() == "a letter"


def test_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    publish(Store(), tmp_path / "model")
    with pytest.raises(ArtifactError, match="is a model, expected a predictor"):
        Store().fetch(str(tmp_path / "model"), "predictor")


def test_a_replaced_artifact_is_refused(tmp_path: Path) -> None:
    publish(Store(), tmp_path / "model")
    with pytest.raises(ArtifactError, match="expected abcabcabcabc; it was replaced"):
        Store().fetch(str(tmp_path / "model"), digest="abc" * 20)


def test_damage_is_noticed_on_every_read(tmp_path: Path) -> None:
    publish(Store(), tmp_path / "model")
    (tmp_path / "model" / "inner" / "weights.bin").write_text("weightz")
    with pytest.raises(ArtifactError, match=r"inner/weights\.bin: damaged"):
        Store().fetch(str(tmp_path / "model"))
    with pytest.raises(ArtifactError, match=r"inner/weights\.bin: damaged"):
        Store().find(RECIPE, str(tmp_path / "model"))


def test_an_artifact_may_hold_a_manifest_of_something_else(tmp_path: Path) -> None:
    store, out = Store(), tmp_path / "model"
    with store.draft(str(out)) as draft:
        (draft / "web").mkdir()
        (draft / "web" / MANIFEST).write_text(json.dumps({"name": "app"}))
        store.publish(draft, str(out), RECIPE)
    (out / "web" / MANIFEST).write_text("{}")
    with pytest.raises(ArtifactError, match=r"web/manifest\.json: damaged"):
        store.fetch(str(out))


def test_the_work_folder_lies_outside_the_output_and_belongs_to_the_recipe(tmp_path: Path) -> None:
    store, out = Store(), str(tmp_path / "model")
    assert store.work_folder(out, RECIPE) == store.work_folder(out, RECIPE)
    assert store.work_folder(out, RECIPE) != store.work_folder(out, OTHER)
    assert not store.work_folder(out, RECIPE).is_relative_to(out)


def test_an_unreadable_table_is_a_readable_refusal(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.csv: cannot be read: No such file"):
        Store().digest(str(tmp_path / "none.csv"))
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        Store().open(str(tmp_path))
