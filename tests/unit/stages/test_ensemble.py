"""Predictors that become one: what it answers, what it reports, and what cannot be joined."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray

from unimol2_model import ModelConfig, UniMol2ForProperties, save_weights
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.errors import UserError
from unimol2_tasks.params import FinetuneParams, PrepareParams
from unimol2_tasks.stages import ensemble
from unimol2_tasks.training.continuation import determining
from unimol2_tasks.training.network import load_predictor
from unimol2_tasks.training.predictor_files import OUT_OF_FOLD, read_predictions, write_predictions
from unimol2_tasks.training.targets import Target, Targets

CONFIG = ModelConfig(blocks=1, atom_dim=16, heads=1, ffn_dim=8, pair_dim=8, pair_hidden_dim=4)
IDS = ["a", "b", "c"]
LABELS = np.array([[1.0, 0.0], [2.0, np.nan], [4.0, 1.0]])
Made = Callable[..., str]


def _targets(mean: float = 0.0, std: float = 1.0, name: str = "pka", head: Any = "multitask") -> Targets:
    return Targets(
        targets=(
            Target(name=name, kind="regression", scaling="standard", mean=mean, std=std),
            Target(name="toxic", kind="binary"),
        ),
        prepare=PrepareParams(),
        head=head,
    )


def _predictions(seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(size=(3, 2))


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Publishes a predictor of a single training, as fine-tuning would."""

    def make(
        seed: int,
        fold: int | None = None,
        targets: Targets = _targets(),  # noqa: B008 - a frozen value
        dataset: str = "d",
        **params: Any,
    ) -> str:
        draft, out = tmp_path / "draft", tmp_path / f"member-{len(list(tmp_path.iterdir()))}"
        draft.mkdir()
        torch.manual_seed(seed)
        heads = [1, 1] if targets.head == "multitask" else 2
        save_weights(UniMol2ForProperties(CONFIG, heads), draft / "model.safetensors")
        (draft / "config.json").write_text(json.dumps(CONFIG.to_dict()))
        (draft / "targets.json").write_text(targets.model_dump_json())
        (draft / "curve.csv").write_text("step,valid/loss\n1,2.0\n")
        metrics = {"valid/loss": 1.0 + seed, "valid/mae/pka": 2.0 * seed}
        (draft / "metrics.json").write_text(json.dumps(metrics))
        _write_training(draft / "training.parquet", [f"t{fold}", "shared"])
        write_predictions(draft / "validation.parquet", IDS, LABELS, _predictions(seed), targets)
        if fold is not None:
            ids = [f"{fold}{name}" for name in IDS]
            write_predictions(draft / OUT_OF_FOLD, ids, LABELS, _predictions(10 * fold + seed), targets)
        values = determining(FinetuneParams(seed=seed, fold=fold, **params))
        recipe = Recipe("predictor", {"model": {"preset": "tiny"}, "finetune": values}, {"dataset": dataset})
        return Store().publish(draft, str(out), recipe).uri

    return make


def _write_training(path: Path, ids: list[str]) -> None:
    frame = pl.DataFrame(
        {"id": ids, "fingerprint": [bytes([len(name)]) * 256 for name in ids]},
        schema={"id": pl.String, "fingerprint": pl.Binary},
    )
    frame.write_parquet(path)


def _join(members: list[str], out: Path) -> tuple[ArtifactRef, dict[str, float]]:
    ref = ensemble.run(members, str(out))
    Store().fetch(ref.uri, "predictor")
    metrics: dict[str, float] = json.loads((out / "metrics.json").read_text())
    return ref, metrics


def test_seeds_answer_with_their_mean_and_are_reported_with_their_spread(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "ensemble"
    _, metrics = _join([made(3), made(1)], out)
    ids, labels, predictions = read_predictions(out / "validation.parquet", _targets())
    assert ids == IDS
    np.testing.assert_array_equal(labels, LABELS)
    mean = (_predictions(1) + _predictions(3)) / 2
    np.testing.assert_allclose(predictions, mean)
    assert metrics == pytest.approx(
        {
            "valid/loss": 3.0, "valid/loss/std": 2**0.5, "valid/mae/pka": 4.0, "valid/mae/pka/std": 8**0.5,
            "ensemble/mae/pka": np.abs(mean[:, 0] - LABELS[:, 0]).mean(),
            "ensemble/rmse/pka": np.sqrt(((mean[:, 0] - LABELS[:, 0]) ** 2).mean()),
            "ensemble/roc_auc/toxic": float(mean[2, 1] > mean[0, 1]),
            "ensemble/accuracy/toxic": np.mean([mean[0, 1] < 0.5, mean[2, 1] >= 0.5]),
        }
    )  # fmt: skip
    assert list(load_predictor(out)[0]) == ["seed-1", "seed-3"]


def test_folds_are_judged_where_they_have_seen_nothing(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "ensemble"
    _, metrics = _join([made(1, 1), made(2, 0), made(1, 0)], out)
    ids, labels, predictions = read_predictions(out / "validation.parquet", _targets())
    assert ids == [f"{fold}{name}" for fold in (0, 1) for name in IDS]
    first = (_predictions(1) + _predictions(2)) / 2
    np.testing.assert_allclose(predictions, np.concatenate([first, _predictions(11)]))
    error = np.abs(predictions[:, 0] - labels[:, 0]).mean()
    assert metrics["out-of-fold/mae/pka"] == pytest.approx(error)
    assert not any(name.startswith("ensemble/") for name in metrics)
    assert pl.read_parquet(out / "training.parquet")["id"].to_list() == ["t0", "shared", "t1"]


def test_seeds_of_one_fold_leave_its_test_molecules_alone(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "ensemble"
    _, metrics = _join([made(1, 2), made(2, 2)], out)
    assert read_predictions(out / "validation.parquet", _targets())[0] == IDS
    assert "ensemble/mae/pka" in metrics


@pytest.mark.parametrize("head", ["released", "multitask"])
def test_members_of_other_scales_answer_on_the_same_one(made: Made, tmp_path: Path, head: str) -> None:
    """Every fold has scales of its own; what a member says in label units stays what it was."""
    scales = {0: _targets(5.0, 2.0, head=head), 1: _targets(-1.0, 0.5, head=head)}
    members = {fold: made(1, fold, targets) for fold, targets in scales.items()}
    ensemble.run(list(members.values()), str(tmp_path / "ensemble"))
    networks, targets = load_predictor(tmp_path / "ensemble")
    molecules = torch.randn(4, CONFIG.atom_dim)
    for fold, uri in members.items():
        alone, own = load_predictor(Path(uri))
        with torch.no_grad():
            expected = own.to_natural(alone[""].head(molecules).double().numpy())
            joined = targets.to_natural(networks[f"fold-{fold}-seed-1"].head(molecules).double().numpy())
        np.testing.assert_allclose(joined, expected, rtol=1e-5, atol=1e-5)


def test_members_may_have_been_trained_by_other_ranks(made: Made, tmp_path: Path) -> None:
    ref, _ = _join([made(1), made(2, ranks=2, micro_batch_size=4)], tmp_path / "ensemble")
    assert list(load_predictor(Path(ref.uri))[0]) == ["seed-1", "seed-2"]


def test_joining_again_finds_what_is_there(made: Made, tmp_path: Path) -> None:
    members = [made(1), made(2)]
    first, _ = _join(members, tmp_path / "ensemble")
    assert ensemble.run(members, str(tmp_path / "ensemble")) == first


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"seed": 2, "targets": _targets(name="logP")}, r"predicts logP .* but .* pka .*of the same labels"),
        ({"seed": 2, "dataset": "e"}, r"member seed-2 differs from seed-1 in dataset: .*seed and fold alone"),
        ({"seed": 2, "epochs": 7}, r"member seed-2 differs from seed-1 in finetune\.epochs"),
        ({"seed": 2, "fold": 0}, r"with finetune\.fold and .* without; .*all have a fold, or none"),
        ({"seed": 1}, r"member-\d+ and .*member-\d+: both are seed-1"),
    ],
)
def test_what_cannot_answer_as_one_is_refused(
    made: Made, tmp_path: Path, other: dict[str, Any], expected: str
) -> None:
    with pytest.raises(UserError, match=expected):
        ensemble.run([made(1), made(**other)], str(tmp_path / "ensemble"))
    assert not (tmp_path / "ensemble").exists()


def test_an_ensemble_is_no_member_and_needs_one(made: Made, tmp_path: Path) -> None:
    ref, _ = _join([made(1), made(2)], tmp_path / "ensemble")
    with pytest.raises(UserError, match="is an ensemble already"):
        ensemble.run([ref.uri, made(3)], str(tmp_path / "second"))
    with pytest.raises(UserError, match="at least one member"):
        ensemble.run([], str(tmp_path / "second"))


def test_a_member_is_published_as_it_was(made: Made, tmp_path: Path) -> None:
    member = Path(made(1, 0))
    ensemble.run([str(member), made(2, 0)], str(tmp_path / "ensemble"))
    copied = tmp_path / "ensemble" / "members" / "fold-0-seed-1"
    shutil.rmtree(copied.parent / "fold-0-seed-2")
    for path in copied.iterdir():
        assert path.read_bytes() == (member / path.name).read_bytes()
    assert {path.name for path in member.iterdir()} - {path.name for path in copied.iterdir()} == {
        "manifest.json", "training.parquet",
    }  # fmt: skip
