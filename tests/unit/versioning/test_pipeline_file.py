"""`dvc.yaml`: what its stages follow is what determines their artifacts."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.params import Params, Section, load_params
from unimol2_tasks.stages import prepare
from unimol2_tasks.training.continuation import determining


@pytest.fixture
def pipeline(project_root: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((project_root / "dvc.yaml").read_text(encoding="utf-8"))
    return content


def keys(section: str, names: object) -> set[str]:
    return {f"{section}.{name}" for name in names}  # type: ignore[attr-defined]


def fields(params: Section) -> set[str]:
    return set(type(params).model_fields)


def test_every_stage_follows_the_parameters_of_its_recipe_and_no_others(pipeline: dict[str, Any]) -> None:
    params = Params()
    model = keys("model", fields(params.model))
    expected = {
        "prepare-molecules": keys("prepare", fields(params.prepare) - {"workers", "unit_rows"}),
        "prepare-labelled": keys("prepare", fields(params.prepare) - {"workers", "unit_rows"}),
        "pretrain": model | keys("pretrain", determining(params.pretrain)),
        "finetune": model | keys("finetune", determining(params.finetune)),
        "evaluate": keys("evaluate", fields(params.evaluate)),
    }
    assert {name: set(stage["params"]) for name, stage in pipeline["stages"].items()} == expected


def test_a_dataset_depends_on_the_parameters_that_its_stage_follows(
    tiny_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recipe of a dataset is private to its stage: it is caught on its way to the store."""
    caught: list[Recipe] = []

    def find(store: Store, recipe: Recipe, out: str) -> None:
        caught.append(recipe)
        raise InterruptedError

    monkeypatch.setattr(Store, "find", find)
    with pytest.raises(InterruptedError):
        prepare.run(Params().prepare, prepare.PrepareInputs(str(tiny_table)), str(tmp_path / "out"))
    # The file of `split_file` counts by its digest, in DVC as in the recipe as a parent.
    assert set(caught[0].params) - {"columns"} == fields(Params().prepare) - {
        "workers", "unit_rows", "split_file",
    }  # fmt: skip


def test_every_followed_parameter_stands_in_the_parameter_file(
    pipeline: dict[str, Any], project_root: Path
) -> None:
    values = yaml.safe_load((project_root / "params.yaml").read_text(encoding="utf-8"))
    there = {f"{section}.{key}" for section, content in values.items() for key in content}
    assert {key for stage in pipeline["stages"].values() for key in stage["params"]} <= there


def test_what_is_called_built_in_is(project_root: Path) -> None:
    path = project_root / "params.yaml"
    params, section, built_in = load_params(path), "", False
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.endswith(":") and not line.startswith((" ", "#")):
            section, built_in = line[:-1], False
        elif line.strip().startswith("#"):
            built_in = "as built in" in line
        elif built_in:
            key = line.split(":")[0].strip()
            default = getattr(getattr(Params(), section), key)
            assert getattr(getattr(params, section), key) == default, f"{section}.{key}"


def test_the_curves_of_the_study_are_drawn_as_those_of_the_pipeline(project_root: Path) -> None:
    here, study = (
        folder / ".dvc" / "plots" for folder in (project_root, project_root / "recipes" / "scaling")
    )
    assert (here / "curves.json").read_text() == (study / "curves.json").read_text()
