"""The parameter files of recipes/: complete, valid, and as large as they say."""

import re
from pathlib import Path

import pytest
import yaml

from unimol2_tasks.params import load_params
from unimol2_tasks.planning.memory import GIB
from unimol2_tasks.planning.plan import Machine, Plan, make_plan
from unimol2_tasks.planning.prediction import LawScope
from unimol2_tasks.planning.sizes import MoleculeSizes

RECIPES = sorted((Path(__file__).parents[3] / "recipes").glob("*.yaml"))
PAPERS = [recipe for recipe in RECIPES if recipe.stem != "tiny"]


def plan_of(recipe: Path) -> Plan:
    params = load_params(recipe)
    sizes = MoleculeSizes.assumed(25, params.prepare.max_atoms, "assumed")
    return make_plan(params, sizes, Machine(), LawScope.paper())


def named(recipe: Path) -> str:
    return recipe.stem


def test_there_is_one_for_every_size() -> None:
    assert {recipe.stem for recipe in RECIPES} == {"tiny", "42M", "84M", "164M", "310M", "570M", "1.1B"}


@pytest.mark.parametrize("recipe", RECIPES, ids=named)
def test_a_recipe_is_valid_and_of_the_size_in_its_name(recipe: Path) -> None:
    params = load_params(recipe)
    assert params.model.preset == recipe.stem
    assert params.pretrain.accumulation == 1


@pytest.mark.parametrize("recipe", RECIPES, ids=named)
def test_a_recipe_takes_the_memory_that_it_says(recipe: Path) -> None:
    said = re.search(
        r"^# Expected memory per (?:GPU|rank): ([\d.]+) GiB, for molecules of up to (\d+) heavy atoms\.$",
        recipe.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert said is not None
    plan = plan_of(recipe)
    places = len(said[1].partition(".")[2])
    assert said[1] == f"{plan.chosen.total / GIB:.{places}f}"
    assert int(said[2]) == plan.sizes.largest
    assert plan.chosen.fits


@pytest.mark.parametrize("recipe", RECIPES, ids=named)
def test_every_command_of_a_recipe_names_that_recipe(recipe: Path) -> None:
    commands = re.findall(r"unimol2 \w+ +--params (\S+)", recipe.read_text(encoding="utf-8"))
    assert len(commands) == 3
    assert set(commands) == {f"recipes/{recipe.name}"}


@pytest.mark.parametrize("recipe", PAPERS, ids=named)
def test_a_recipe_is_the_papers(recipe: Path) -> None:
    training = load_params(recipe).pretrain
    assert (training.batch_size, training.steps, training.warmup_steps) == (1024, 818_000, 100_000)
    assert (training.learning_rate, training.betas, training.weight_decay) == (1e-4, (0.9, 0.99), 1e-4)
    assert (training.noise, training.noise_scale, training.mask_probability) == ("gaussian", 0.2, 0.15)
    assert (training.scaffold_temperature, training.precision) == (0.005, "bf16")
    assert (training.checkpoint_every, training.keep_checkpoints) == (1000, 10)
    assert training.ranks == (64 if recipe.stem in ("570M", "1.1B") else 32)


def test_recipes_differ_only_in_the_size_and_in_what_goes_with_it() -> None:
    seen = []
    for recipe in PAPERS:
        values = yaml.safe_load(recipe.read_text(encoding="utf-8"))
        for key in ("ranks", "micro_batch_size"):
            del values["pretrain"][key]
        del values["model"]
        seen.append(values)
    assert all(values == seen[0] for values in seen)
