"""A search whose trainings take no time: what is trained, what is not, and what it leaves."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from unimol2_tasks import progress
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.errors import ParameterError, TrainingDiverged, TrainingFailed, UserError
from unimol2_tasks.params import Params, load_params, parse_params
from unimol2_tasks.stages import finetune, search
from unimol2_tasks.stages.hyperparameters.trials import Trial, work_here
from unimol2_tasks.training.continuation import determining

SPACE = {"learning_rate": [1e-4, 3e-4, 1e-3], "epochs": [1, 2]}


@dataclass
class Training:
    """Stands in for fine-tuning: the loss is lowest at a rate of 3e-4 and after most epochs."""

    failures: dict[float, Exception] = field(default_factory=dict)
    trained: list[Params] = field(default_factory=list)
    stop_after: int | None = None
    largest: int = 0

    def __call__(
        self, params: Params, inputs: finetune.FinetuneInputs, out: str, store: Store = Store()
    ) -> ArtifactRef:
        recipe = Recipe("predictor", {"finetune": determining(params.finetune)})
        if (found := store.find(recipe, out)) is not None:
            return found
        if len(self.trained) == self.stop_after:
            raise TrainingFailed("stopped after step 3", "stopped")
        self.trained.append(params)
        if (failure := self.failures.get(params.finetune.learning_rate)) is not None:
            raise failure
        with store.draft(out) as draft:
            self.write(draft, params)
            ref = store.publish(draft, out, recipe)
        places = Path(out).parents[1].glob("*/predictor")
        self.largest = max(self.largest, len(list(places)))
        return ref

    def write(self, folder: Path, params: Params) -> None:
        names = [f"members/seed-{seed}" for seed in params.finetune.seeds]
        for name, seed in zip([".", *names], [params.finetune.seed, *params.finetune.seeds], strict=True):
            (folder / name).mkdir(parents=True, exist_ok=True)
            metrics = {"valid/loss": loss_of(params, seed), "valid/mae/gap": 2 * loss_of(params, seed)}
            (folder / name / "metrics.json").write_text(json.dumps(metrics))


def loss_of(params: Params, seed: int) -> float:
    rate, epochs = params.finetune.learning_rate, params.finetune.epochs
    return 1 + (math.log10(rate) - math.log10(3e-4)) ** 2 - 0.1 * epochs + 0.01 * seed


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Training:
    fake = Training()
    monkeypatch.setattr(finetune, "run", fake)
    return fake


@pytest.fixture
def inputs(tmp_path: Path) -> search.SearchInputs:
    with Store().draft(str(tmp_path / "dataset")) as draft:
        Store().publish(draft, str(tmp_path / "dataset"), Recipe("dataset", {}))
    return search.SearchInputs(str(tmp_path / "dataset"), None, str(tmp_path / "refit"))


def settings(finetuning: Any = None, **values: Any) -> Params:
    return parse_params({"search": {"space": SPACE, **values}, "finetune": finetuning or {}})


def table(folder: Path) -> pl.DataFrame:
    return pl.read_csv(folder / "trials.csv").drop("seconds")


def test_the_best_of_all_combinations_is_found_and_described(
    training: Training, inputs: search.SearchInputs, tmp_path: Path
) -> None:
    ref = search.run(settings(), inputs, str(tmp_path / "search"))
    folder = Store().fetch(ref.uri, "search").path
    trials = table(folder)
    assert trials.columns == [
        "number", "state", "learning_rate", "epochs", "loss", "valid/mae/gap", "reason",
    ]  # fmt: skip
    assert trials["number"].to_list() == list(range(6))
    assert set(zip(trials["learning_rate"], trials["epochs"], strict=True)) == {
        (rate, epochs) for rate in SPACE["learning_rate"] for epochs in SPACE["epochs"]
    }
    assert trials["valid/mae/gap"].to_list() == [2 * loss for loss in trials["loss"]]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["valid/loss"] == trials["loss"].min() == pytest.approx(0.8)
    assert (metrics["complete"], metrics["failed"]) == (6, 0)
    best = load_params(folder / "best.yaml")
    assert (best.finetune.learning_rate, best.finetune.epochs) == (3e-4, 2)
    assert best.model == settings().model
    assert f"trial {metrics['best_trial']};" in (folder / "trials.html").read_text()


def test_trials_are_compared_by_the_figure_that_training_is_judged_by(
    training: Training, inputs: search.SearchInputs, tmp_path: Path
) -> None:
    params = settings({"best_by": "mae"})
    folder = Store().fetch(search.run(params, inputs, str(tmp_path / "search")).uri, "search").path
    trials = table(folder)
    assert trials["loss"].to_list() == trials["valid/mae/gap"].to_list()
    assert json.loads((folder / "metrics.json").read_text())["valid/mae"] == trials["loss"].min()
    assert "the lowest <code>valid/mae</code> wins" in (folder / "trials.html").read_text()
    with pytest.raises(ParameterError, match="best_by: with another value of it validations cannot"):
        settings(space={"best_by": ["mae", "rmse"]})


def test_the_best_predictor_is_taken_over_and_no_other_is_kept(
    training: Training, inputs: search.SearchInputs, tmp_path: Path
) -> None:
    search.run(settings(), inputs, str(tmp_path / "search"))
    assert len(training.trained) == 6
    assert training.largest <= 2
    refitted = Store().fetch(str(inputs.refit), "predictor")
    assert refitted.manifest.params["finetune"]["learning_rate"] == 3e-4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "refit", "search"]


def test_whoever_is_asked_makes_the_predictor_of_the_best_parameters(
    training: Training, inputs: search.SearchInputs, tmp_path: Path
) -> None:
    asked: list[Params] = []
    search.run(settings(), inputs, str(tmp_path / "search"), refit_by=asked.append)
    assert [params.finetune.learning_rate for params in asked] == [3e-4]
    assert len(training.trained) == 6
    # The trial's own is there already, so that whoever is asked need not train.
    assert Store().fetch(str(inputs.refit), "predictor")


def test_a_search_that_was_stopped_trains_only_what_is_missing(
    training: Training, inputs: search.SearchInputs, tmp_path: Path
) -> None:
    training.stop_after = 4
    with pytest.raises(TrainingFailed, match="stopped"):
        search.run(settings(), inputs, str(tmp_path / "search"))
    assert not (tmp_path / "search").exists()
    training.stop_after = None
    search.run(settings(), inputs, str(tmp_path / "search"))
    rates = [(params.finetune.learning_rate, params.finetune.epochs) for params in training.trained]
    assert len(rates) == len(set(rates)) == 6
    search.run(settings(), search.SearchInputs(inputs.dataset), str(tmp_path / "undisturbed"))
    assert table(tmp_path / "search").equals(table(tmp_path / "undisturbed"))
    assert (tmp_path / "search" / "best.yaml").read_text() == (
        tmp_path / "undisturbed" / "best.yaml"
    ).read_text()


def test_an_interrupted_search_may_go_on_with_more_trials(
    training: Training, inputs: search.SearchInputs, tmp_path: Path
) -> None:
    training.stop_after = 3
    with pytest.raises(TrainingFailed):
        search.run(settings(trials=4), inputs, str(tmp_path / "search"))
    training.stop_after = None
    search.run(settings(trials=6), inputs, str(tmp_path / "search"))
    assert len(training.trained) == 6


def test_a_finished_search_is_returned_as_it_is_and_another_refused(
    training: Training, inputs: search.SearchInputs, tmp_path: Path
) -> None:
    first = search.run(settings(), inputs, str(tmp_path / "search"))
    assert search.run(settings(parallel=3), inputs, str(tmp_path / "search")) == first
    assert len(training.trained) == 6
    with pytest.raises(UserError, match="holds a search made from other inputs, parameters or code"):
        search.run(settings(trials=3), inputs, str(tmp_path / "search"))


def test_failures_are_recorded_with_their_reasons_and_the_others_go_on(
    training: Training, inputs: search.SearchInputs, tmp_path: Path
) -> None:
    training.failures = {
        1e-3: TrainingDiverged("valid/loss is nan after step 8: training has diverged"),
        3e-4: TrainingFailed(
            "ended (out of memory): CUDA out of memory\nThe end of the log", "out of memory"
        ),
    }
    search.run(settings(), inputs, str(tmp_path / "search"))
    failed = table(tmp_path / "search").filter(pl.col("state") == "failed")
    assert failed["loss"].null_count() == 4
    assert set(failed["reason"]) == {
        "valid/loss is nan after step 8: training has diverged",
        "ended (out of memory): CUDA out of memory",
    }
    assert load_params(tmp_path / "search" / "best.yaml").finetune.learning_rate == 1e-4
    assert "training has diverged" in (tmp_path / "search" / "trials.html").read_text()


def test_values_that_do_not_go_together_fail_without_a_training(
    training: Training, inputs: search.SearchInputs, tmp_path: Path
) -> None:
    space = {"batch_size": [6, 8], "micro_batch_size": [None, 4]}
    search.run(settings(space=space), inputs, str(tmp_path / "search"))
    failed = table(tmp_path / "search").filter(pl.col("state") == "failed")
    assert failed.select("batch_size", "micro_batch_size").rows() == [(6, "4")]
    assert "is not a multiple of micro_batch_size 4" in failed["reason"][0]
    assert len(training.trained) == 3


def test_a_search_in_which_every_trial_failed_is_refused_and_tried_anew(
    training: Training, inputs: search.SearchInputs, tmp_path: Path
) -> None:
    training.failures = dict.fromkeys(SPACE["learning_rate"], TrainingDiverged("diverged"))
    with pytest.raises(
        UserError, match=r"all 6 trials failed, the first \(learning_rate=.*\) because: diverged"
    ):
        search.run(settings(), inputs, str(tmp_path / "search"))
    training.failures = {}
    search.run(settings(), inputs, str(tmp_path / "search"))
    assert len(training.trained) == 12


@pytest.mark.parametrize(
    ("changed", "states"), [({}, {"complete", "failed"}), ({"micro_batch_size": 4}, {"complete"})]
)
def test_a_failed_trial_is_tried_again_only_where_its_work_is_shared_out_otherwise(
    training: Training, inputs: search.SearchInputs, tmp_path: Path, changed: dict[str, Any], states: set[str]
) -> None:
    training.failures = {1e-3: TrainingFailed("ended (out of memory)", "out of memory")}
    training.stop_after = 5
    with pytest.raises(TrainingFailed, match="stopped"):
        search.run(settings(), inputs, str(tmp_path / "search"))
    training.failures, training.stop_after = {}, None
    search.run(settings(changed), search.SearchInputs(inputs.dataset), str(tmp_path / "search"))
    assert set(table(tmp_path / "search")["state"]) == states
    complete = [params.finetune.learning_rate for params in training.trained[:5]].count(1e-3)
    assert len(training.trained) == 6 + (complete if changed else 0)


@pytest.mark.parametrize("stopped", [1, 2, 3, 4, 5])
def test_a_search_that_goes_on_keeps_one_predictor_too(
    training: Training, inputs: search.SearchInputs, tmp_path: Path, stopped: int
) -> None:
    training.stop_after = stopped
    with pytest.raises(TrainingFailed, match="stopped"):
        search.run(settings(), inputs, str(tmp_path / "search"))
    training.stop_after = None
    search.run(settings(), inputs, str(tmp_path / "search"))
    assert training.largest <= 2
    assert len(training.trained) == 6


def test_the_best_so_far_is_one_of_the_present_space(
    training: Training, inputs: search.SearchInputs, tmp_path: Path
) -> None:
    training.stop_after = 1
    with pytest.raises(TrainingFailed, match="stopped"):
        search.run(
            settings(space={"learning_rate": [3e-4], "epochs": [1, 2]}), inputs, str(tmp_path / "search")
        )
    training.stop_after = None
    reports: list[progress.Progress] = []
    with progress.listen(reports.append):
        search.run(
            settings(space={"learning_rate": [1e-4], "epochs": [1, 2]}), inputs, str(tmp_path / "search")
        )
    best = table(tmp_path / "search")["loss"].min()
    assert reports[-1].detail == f"best valid/loss {best:.4f}"
    assert Store().fetch(str(inputs.refit), "predictor").manifest.params["finetune"]["learning_rate"] == 1e-4
    assert len(training.trained) == 3


def test_what_no_other_values_would_mend_ends_the_search_at_once(
    training: Training, inputs: search.SearchInputs, tmp_path: Path
) -> None:
    training.failures = dict.fromkeys(SPACE["learning_rate"], UserError("no label gap_eV"))
    with pytest.raises(UserError, match="no label gap_eV"):
        search.run(settings(), inputs, str(tmp_path / "search"))
    assert len(training.trained) == 1


def test_the_loss_of_several_seeds_is_their_mean(
    training: Training, inputs: search.SearchInputs, tmp_path: Path
) -> None:
    search.run(settings({"seeds": [1, 5]}), inputs, str(tmp_path / "search"))
    assert table(tmp_path / "search")["loss"].min() == pytest.approx(0.8 + 0.03)
    assert len(training.trained) == 6


def test_trials_may_have_fewer_seeds_than_the_predictor(
    training: Training, inputs: search.SearchInputs, tmp_path: Path
) -> None:
    search.run(settings({"seeds": [1, 5]}, seeds=[2]), inputs, str(tmp_path / "search"))
    assert {(params.finetune.seed, params.finetune.seeds) for params in training.trained[:6]} == {(2, ())}
    assert training.trained[6].finetune.seeds == (1, 5)
    best = load_params(tmp_path / "search" / "best.yaml")
    assert best.finetune == training.trained[6].finetune


def test_equal_proposals_are_trained_once(
    training: Training, inputs: search.SearchInputs, tmp_path: Path
) -> None:
    search.run(settings(sampler="random", trials=12), inputs, str(tmp_path / "search"))
    trials = table(tmp_path / "search")
    different = trials.select("learning_rate", "epochs").unique().height
    assert trials.height == 12
    assert len(training.trained) == different < 12
    repeated = trials.filter(pl.col("reason").is_not_null())
    assert repeated.height == 12 - different
    for row in repeated.iter_rows(named=True):
        first = trials.row(int(row["reason"].removeprefix("same values as trial ")), named=True)
        assert {**first, "number": 0, "reason": ""} == {**row, "number": 0, "reason": ""}


@pytest.mark.parametrize("sampler", ["grid", "tpe"])
def test_who_trains_does_not_matter(
    training: Training, inputs: search.SearchInputs, tmp_path: Path, sampler: str
) -> None:
    rounds: list[int] = []

    def backwards(trials: Sequence[Trial]) -> Iterator[Trial]:
        rounds.append(len(trials))
        for trial in reversed(trials):
            trial.train()
        yield from trials

    chosen = settings(sampler=sampler, parallel=2, trials=6)
    found = [
        table(
            Path(
                search.run(
                    chosen, search.SearchInputs(inputs.dataset), str(tmp_path / name), Store(), who
                ).uri
            )
        )
        for name, who in (("forwards", work_here), ("backwards", backwards))
    ]
    assert found[0].equals(found[1])
    assert max(rounds) == (6 if sampler == "grid" else 2)
