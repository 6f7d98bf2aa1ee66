"""Pretraining with real ranks: the same training whatever the ranks, the ZeRO stage and the precision."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest

from unimol2_model import ModelConfig
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.stages import pretrain
from unimol2_tasks.training.job import RunFolder, read_json
from unimol2_tasks.training.network import load_pretrained

STEPS = 12
VARIANTS: dict[str, dict[str, Any]] = {
    **{f"zero-{stage}": {"zero_stage": stage} for stage in range(4)},
    "accumulated": {"micro_batch_size": 1},
    "checkpointed": {"checkpoint_activations": True},
    "checkpointed-zero-3": {"checkpoint_activations": True, "zero_stage": 3},
    "bf16-zero-0": {"precision": "bf16"},
    "bf16-zero-3": {"precision": "bf16", "zero_stage": 3},
    "averaged": {"ema_decay": 0.9},
    "averaged-zero-2": {"ema_decay": 0.9, "zero_stage": 2},
    "averaged-bf16-zero-3": {"ema_decay": 0.9, "zero_stage": 3, "precision": "bf16"},
    "offloaded": {"offload_optimizer": True, "zero_stage": 2},
    "diverging": {"learning_rate": 1e30, "warmup_steps": 0, "log_every": 1},
}


@pytest.fixture(scope="module")
def runs(train: Any) -> dict[str, RunFolder]:
    """Two ranks each; and one run on a single rank."""
    two_ranks: dict[str, RunFolder] = train("pretrain", VARIANTS, ranks=2)
    one_rank: dict[str, RunFolder] = train("pretrain", {"one rank": {}}, ranks=1)
    return two_ranks | one_rank


def _curve(folder: Path, metric: str) -> list[float]:
    with (folder / "curve.csv").open(newline="") as stream:
        return [float(row[metric]) for row in csv.DictReader(stream) if row[metric]]


def _losses(run: RunFolder) -> list[float]:
    return _curve(run.result, "train/loss") + _curve(run.result, "valid/loss")


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_every_zero_stage_learns_the_same(runs: dict[str, RunFolder], stage: int) -> None:
    assert _losses(runs[f"zero-{stage}"]) == pytest.approx(_losses(runs["zero-0"]), rel=1e-5)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_every_zero_stage_saves_the_same_weights(runs: dict[str, RunFolder], stage: int) -> None:
    expected = load_pretrained(runs["zero-0"].result).state_dict()
    for name, weight in load_pretrained(runs[f"zero-{stage}"].result).state_dict().items():
        # Adam divides by the root of squared gradients: where these are near zero, rounding is amplified.
        assert (weight - expected[name]).abs().max() < 1e-4, name


def test_one_rank_learns_the_same_as_two(runs: dict[str, RunFolder]) -> None:
    assert _losses(runs["one rank"]) == pytest.approx(_losses(runs["zero-0"]), rel=1e-5)


def test_small_forward_passes_add_up_to_the_whole_batch(runs: dict[str, RunFolder]) -> None:
    assert _losses(runs["accumulated"]) == pytest.approx(_losses(runs["zero-0"]), rel=1e-5)


@pytest.mark.parametrize("name", ["checkpointed", "checkpointed-zero-3"])
def test_checkpointed_activations_learn_the_same(runs: dict[str, RunFolder], name: str) -> None:
    assert _losses(runs[name]) == pytest.approx(_losses(runs["zero-0"]), rel=1e-5)


@pytest.mark.parametrize("stage", [0, 3])
def test_bf16_learns_like_fp32_within_its_three_digits(runs: dict[str, RunFolder], stage: int) -> None:
    assert _losses(runs[f"bf16-zero-{stage}"]) == pytest.approx(_losses(runs["zero-0"]), rel=2e-2)


def test_bf16_saves_its_full_precision_weights(runs: dict[str, RunFolder]) -> None:
    for stage in (0, 3):
        weights = load_pretrained(runs[f"bf16-zero-{stage}"].result).state_dict()
        assert any(not weight.equal(weight.bfloat16().float()) for weight in weights.values())


def test_the_network_learns(runs: dict[str, RunFolder]) -> None:
    for name in VARIANTS.keys() - {"diverging"}:
        training, validation = (_curve(runs[name].result, f"{part}/loss") for part in ("train", "valid"))
        assert training[-1] < 0.7 * training[0]
        assert validation == sorted(validation, reverse=True)


def test_a_diverged_run_ends_with_advice_and_without_a_result(runs: dict[str, RunFolder]) -> None:
    failure = read_json(runs["diverging"].failure)
    assert failure is not None
    assert "training has diverged; lower learning_rate" in failure["message"]
    assert not runs["diverging"].result.exists()


def test_a_model_is_complete(tiny_model: ArtifactRef, tiny_params: Params) -> None:
    artifact = Store().fetch(tiny_model.uri, "model")
    names = {path.name for path in artifact.path.iterdir()}
    assert names == {
        "manifest.json",
        "model.safetensors",
        "config.json",
        "metrics.json",
        "curve.csv",
        "deepspeed.json",
    }
    model = load_pretrained(artifact.path)
    config = json.loads((artifact.path / "config.json").read_text())
    assert ModelConfig.from_dict(config) == model.config
    assert config["blocks"] == tiny_params.model.blocks
    deepspeed = json.loads((artifact.path / "deepspeed.json").read_text())
    assert deepspeed["train_batch_size"] == tiny_params.pretrain.batch_size
    metrics = json.loads((artifact.path / "metrics.json").read_text())
    assert metrics["parameters"] == sum(weight.numel() for weight in model.parameters())
    assert metrics["valid/loss"] == _curve(artifact.path, "valid/loss")[-1]


def test_the_curve_has_the_points_that_were_asked_for(tiny_model: ArtifactRef) -> None:
    folder = Path(tiny_model.uri)
    with (folder / "curve.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["step"]) for row in rows] == [1, 2, 4, 6, 8, 10, STEPS]
    assert [int(row["step"]) for row in rows if row["valid/loss"]] == [1, 4, 8, STEPS]
    parts = ("atom_type", "coordinate", "distance")
    for row in rows:
        assert float(row["train/loss"]) == pytest.approx(sum(float(row[f"train/{part}"]) for part in parts))


def test_the_curve_shows_the_learning_rate_of_each_step(tiny_model: ArtifactRef) -> None:
    rates = _curve(Path(tiny_model.uri), "learning_rate")
    assert rates == pytest.approx([5e-4, 1e-3, 8e-4 + 1e-4, 7e-4, 5e-4, 3e-4, 1e-4])
    assert all(math.isfinite(rate) and rate > 0 for rate in rates)


def test_nothing_is_left_beside_a_published_model(tiny_model: ArtifactRef) -> None:
    assert not list((Path(tiny_model.uri).parent / ".work").glob("model-*"))


@pytest.mark.parametrize("name", ["averaged-zero-2", "averaged-bf16-zero-3"])
def test_every_zero_stage_averages_the_same(runs: dict[str, RunFolder], name: str) -> None:
    tolerance = 2e-2 if "bf16" in name else 1e-5
    assert _curve(runs[name].result, "valid/loss") == pytest.approx(
        _curve(runs["averaged"].result, "valid/loss"), rel=tolerance
    )


def test_an_average_is_judged_and_published_and_changes_no_step(runs: dict[str, RunFolder]) -> None:
    plain, averaged = runs["zero-0"].result, runs["averaged"].result
    assert _curve(averaged, "train/loss") == _curve(plain, "train/loss")
    # It lags behind, so that on the way down its loss is higher.
    assert _curve(averaged, "valid/loss")[-1] > _curve(plain, "valid/loss")[-1]
    weights = load_pretrained(plain).state_dict()
    assert not all(
        weight.equal(weights[name]) for name, weight in load_pretrained(averaged).state_dict().items()
    )


def test_an_offloaded_optimiser_learns_the_same(runs: dict[str, RunFolder]) -> None:
    assert _losses(runs["offloaded"]) == pytest.approx(_losses(runs["zero-0"]), rel=1e-5)


def test_the_log_has_the_gradient_norm_of_the_whole_batch(runs: dict[str, RunFolder]) -> None:
    expected = _curve(runs["zero-0"].result, "gradient_norm")
    assert all(norm > 0 for norm in expected)
    for name in ("zero-2", "zero-3", "one rank"):
        assert _curve(runs[name].result, "gradient_norm") == pytest.approx(expected, rel=1e-4)


def test_a_model_knows_what_a_guess_would_have_cost(tiny_model: ArtifactRef) -> None:
    metrics = json.loads((Path(tiny_model.uri) / "metrics.json").read_text())
    for part in ("atom_type", "coordinate", "distance"):
        assert metrics[f"floor/{part}"] > 0
    assert 0 < metrics["floor/accuracy"] < 1
    assert 0 <= metrics["valid/accuracy"] <= 1


def test_a_run_measures_itself(runs: dict[str, RunFolder]) -> None:
    speed = read_json(runs["zero-0"].speed)
    assert speed is not None
    assert speed["molecules_per_second"] > 0
    assert speed["tflops"] > 0
    assert 0 <= speed["data_wait_share"] < 1


def test_a_pretrained_model_is_where_another_training_can_start(
    tiny_model: ArtifactRef, tiny_dataset: ArtifactRef, tiny_params: Params, tmp_path: Path
) -> None:
    # A step of no size: what is judged after it is the model itself, and its configuration.
    values = tiny_params.model_dump()
    values["model"] |= {"blocks": 1}
    values["pretrain"] |= {"steps": 1, "warmup_steps": 0, "learning_rate": 1e-12, "ranks": 1}
    inputs = pretrain.PretrainInputs(tiny_dataset.uri, tiny_model.uri)
    continued = pretrain.run(parse_params(values), inputs, str(tmp_path / "continued"))
    before, after = Store().fetch(tiny_model.uri), Store().fetch(continued.uri)
    assert _curve(after.path, "valid/loss")[-1] == pytest.approx(
        _curve(before.path, "valid/loss")[-1], rel=1e-5
    )
    assert after.manifest.parents == {"dataset": tiny_dataset.digest, "model": tiny_model.digest}
