"""What a folder of benchmarks says, also while parts of it are missing."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from unimol2_tasks.artifacts.manifest import Kind
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.datasets.benchmarks import find_benchmark
from unimol2_tasks.errors import UserError
from unimol2_tasks.stages.benchmarking.places import Places, Start
from unimol2_tasks.stages.benchmarking.results import begun, tables, write_results

LABELS = ("homo", "lumo", "gap")
TRAINING = {"epochs": 5, "batch_size": 32, "learning_rate": 1e-4, "features": False}


def publish(
    kind: Kind, folder: Path, files: dict[str, Any], params: dict[str, Any], seconds: float | None = None
) -> None:
    store = Store()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with store.draft(str(folder)) as draft:
        for name, content in files.items():
            (draft / name).write_text(json.dumps(content))
        store.publish(
            draft, str(folder), Recipe(kind, params), run={} if seconds is None else {"seconds": seconds}
        )


def train(places: Places, start: Start, seconds: float) -> None:
    for seed in (0, 1):
        member = places.member("homo-lumo-gap", start, f"seed-{seed}")
        publish("predictor", member, {}, {"finetune": TRAINING | {"seed": seed}}, seconds + seed)
    members = {f"seed-{seed}": {"seed": seed, "fold": None} for seed in (0, 1)}
    predictor = places.predictor("homo-lumo-gap", start)
    publish("predictor", predictor, {}, {"finetune": TRAINING, "members": members})


def judge(places: Places, start: Start, errors: tuple[float, float]) -> None:
    mean = sum(errors) / 2
    scores = {
        label: {"Uni-Mol2": {"mae": mean, "n": 300.0}, "ridge": {"mae": 0.02, "n": 300.0}} for label in LABELS
    }
    members = {label: {"mae": {"mean": mean, "std": None, "values": list(errors)}} for label in LABELS}
    report = places.report("homo-lumo-gap", start)
    publish("report", report, {"metrics.json": scores, "members.json": members}, {"start": start})


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """A pretrained network that is judged, and one from scratch that is trained."""
    places = Places(tmp_path / "runs", "qm9-3000")
    places.want(["pretrained", "scratch"])
    train(places, "pretrained", 10.0)
    judge(places, "pretrained", (0.008, 0.012))
    train(places, "scratch", 20.0)
    return places


def test_what_is_missing_is_shown_as_missing(places: Places) -> None:
    [table] = tables(places.out)
    lines = {line[0]: line[1:] for line in table.rows}
    assert lines["pretrained"] == ("measured here, 2 seeds", "0.01 ± 0.0028")
    assert lines["from scratch"] == ("measured here", "not there yet")
    assert lines["ridge"] == ("measured here", "0.02")
    assert lines["Uni-Mol2 84M"] == ("published, Table 4", "0.0038")
    assert any("44 times as many" in note for note in table.notes)
    assert (
        "homo-lumo-gap, pretrained: 5 epochs in batches of 32 at 0.0001, without atom and bond features, "
        "2 seeds, 10 s each"
    ) in table.notes
    judge(places, "scratch", (0.02, 0.02))
    [table] = tables(places.out)
    assert {line[0]: line[2] for line in table.rows}["from scratch"] == "0.02 ± 0"
    assert any("pretrained: -50.0 % against from scratch" in note for note in table.notes)


def test_the_long_table_has_every_seed_its_seconds_and_what_was_published(places: Places) -> None:
    write_results(places.out)
    rows = pl.read_csv(places.out / "results.csv", infer_schema_length=None)
    assert rows.columns == [
        "benchmark", "target", "method", "seed", "metric", "value", "unit", "n", "seconds", "source",
    ]  # fmt: skip
    own = rows.filter(pl.col("method") == "pretrained")
    assert own["value"].to_list() == pytest.approx([0.01, 0.008, 0.012])
    assert own.select("seed", "n", "seconds").rows() == [
        ("ensemble", 300, 21.0),
        ("0", 300, 10.0),
        ("1", 300, 11.0),
    ]
    printed = rows.filter(pl.col("source") != "measured")
    assert set(printed["source"]) == {"published, Table 4"}
    assert printed["n"].null_count() == printed.height
    assert json.loads((places.out / "results.json").read_text()) == rows.to_dicts()
    assert "| Uni-Mol2 84M | published, Table 4 | 0.0038 |" in (places.out / "results.md").read_text()


def test_several_benchmarks_come_in_the_order_of_their_definitions(places: Places) -> None:
    Places(places.out, "bbbp").want(["scratch"])
    Places(places.out, "qm9").want(["scratch"])
    assert begun(places.out) == [find_benchmark(name) for name in ("qm9", "qm9-3000", "bbbp")]


def test_a_folder_without_benchmarks_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no benchmark"):
        tables(tmp_path)


def test_a_folder_in_which_nothing_is_wanted_yet_has_a_table(places: Places) -> None:
    (places.folder / "wanted.json").unlink()
    [table] = tables(places.out)
    assert {line[0] for line in table.rows if line[1].startswith("measured")} == {
        "pretrained", "pretrained, ensemble", "ridge",
    }  # fmt: skip


def test_what_was_wanted_before_stays_wanted(tmp_path: Path) -> None:
    places = Places(tmp_path, "bace")
    places.want(["scratch"])
    places.want(["pretrained"])
    assert places.wanted_starts() == ["pretrained", "scratch"]
    assert [path.name for path in places.folder.iterdir()] == ["wanted.json"]
