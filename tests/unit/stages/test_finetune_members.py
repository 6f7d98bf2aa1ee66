"""Which trainings an ensemble is made of, and that none is done twice."""

from pathlib import Path
from typing import Any

import pytest

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.errors import ParameterError, UserError
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.stages import finetune


def _dataset(folder: Path, folds: int | None) -> str:
    draft = folder / "draft"
    draft.mkdir()
    (draft / "molecules.parquet").write_bytes(b"")
    Store().publish(draft, str(folder / "dataset"), Recipe("dataset", {"folds": folds}))
    return str(folder / "dataset")


def _params(**values: Any) -> Params:
    return parse_params({"finetune": values})


def test_every_fold_meets_every_seed(tmp_path: Path) -> None:
    params = _params(seeds=[3, 1], cross_validate=True, epochs=5)
    members = finetune.members(params, _dataset(tmp_path, folds=3))
    assert list(members) == [f"fold-{fold}-seed-{seed}" for fold in range(3) for seed in (3, 1)]
    single = members["fold-2-seed-1"].finetune
    assert (single.fold, single.seed, single.seeds, single.cross_validate, single.epochs) == (
        2, 1, (), False, 5,
    )  # fmt: skip


def test_seeds_alone_make_a_member_each_and_nothing_makes_one_training(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, folds=None)
    assert list(finetune.members(_params(seeds=[0, 7]), dataset)) == ["seed-0", "seed-7"]
    assert list(finetune.members(_params(seeds=[7], fold=1), dataset)) == ["fold-1-seed-7"]
    params = _params(fold=1, seed=4)
    assert finetune.members(params, dataset) == {"": params}


def test_folds_that_were_not_made_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset: has no folds, .*prepare\.folds"):
        finetune.members(_params(cross_validate=True), _dataset(tmp_path, folds=None))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"seeds": [1, 1]}, r"seeds \[1, 1\]: expected different"),
        ({"fold": 1, "cross_validate": True}, "give one of them"),
        ({"freeze_backbone": True, "layer_decay": 0.9}, "leave out unfreeze_epochs and layer_decay"),
        ({"unfreeze_epochs": 60}, "nothing would ever be unfrozen"),
        ({"targets": ["pka", "logS", "pka"]}, "pka is there twice"),
        ({"drawing": True, "conformers": 1}, "nothing but the flat drawing would be seen"),
    ],
)
def test_contradictions_are_refused(values: dict[str, Any], expected: str) -> None:
    with pytest.raises(ParameterError, match=expected):
        _params(**values)


def test_a_finished_member_is_never_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second training fails at first; the start after that does it and the third, not the first."""
    trained: list[int] = []

    def train(self: Any, params: Params, out: str, store: Store) -> ArtifactRef:
        found = store.find(self.recipe(params), out)
        if found is not None:
            return found
        trained.append(params.finetune.seed)
        if trained == [0, 1]:
            raise KeyboardInterrupt
        with store.draft(out) as draft:
            (draft / "weights").write_text(str(params.finetune.seed))
            return store.publish(draft, out, self.recipe(params))

    def join(members: list[str], out: str, store: Store) -> ArtifactRef:
        with store.draft(out) as draft:
            for number, member in enumerate(members):
                (draft / str(number)).write_text((Path(member) / "weights").read_text())
            return store.publish(draft, out, Recipe("predictor", {}))

    monkeypatch.setattr(finetune._Sources, "train", train)
    monkeypatch.setattr(finetune.ensemble, "run", join)
    inputs = finetune.FinetuneInputs(_dataset(tmp_path, None), None)
    out = str(tmp_path / "predictor")
    with pytest.raises(KeyboardInterrupt):
        finetune.run(_params(seeds=[0, 1, 2]), inputs, out)
    assert not Path(out).exists()
    finetune.run(_params(seeds=[0, 1, 2], ranks=2, micro_batch_size=4), inputs, out)
    assert trained == [0, 1, 1, 2], "who works on them is of no matter"
    assert [(Path(out) / str(number)).read_text() for number in range(3)] == ["0", "1", "2"]
    assert not (tmp_path / ".work").exists() or not list((tmp_path / ".work").glob("predictor-*"))
