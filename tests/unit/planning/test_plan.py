"""From parameters to a plan."""

from typing import Any

import pytest

from unimol2_model import ModelConfig
from unimol2_model.flops import training_flops
from unimol2_tasks.errors import ParameterError, UserError
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.planning.memory import GIB, usable_bytes
from unimol2_tasks.planning.plan import Machine, Plan, make_plan
from unimol2_tasks.planning.prediction import LawScope
from unimol2_tasks.planning.sizes import MoleculeSizes
from unimol2_tasks.training.size import count_parameters

SIZES = MoleculeSizes.assumed(25, 64, "assumed")


def params(**pretrain: Any) -> Params:
    run = {"precision": "bf16", "ranks": 8, "batch_size": 1024, "micro_batch_size": 32, "steps": 300_000}
    return parse_params({"model": {"preset": "84M"}, "pretrain": run | pretrain})


def planned(sizes: MoleculeSizes = SIZES, machine: Machine = Machine(), **pretrain: Any) -> Plan:  # noqa: B008
    return make_plan(params(**pretrain), sizes, machine, LawScope.paper())


@pytest.mark.parametrize(("size", "parameters"), [("42M", 43_788_112), ("1.1B", 1_129_209_696)])
def test_parameters_are_those_of_the_paper(size: str, parameters: int) -> None:
    assert count_parameters(ModelConfig.preset(size)) == parameters


def test_time_follows_from_a_measured_rate() -> None:
    cost = planned(machine=Machine(rate=1000, price=2.5)).cost
    assert cost.samples == 300_000 * 1024
    assert cost.gpu_hours == pytest.approx(cost.samples / 1000 / 3600)
    assert cost.days == pytest.approx(cost.gpu_hours / 8 / 24)
    assert cost.price == pytest.approx(2.5 * cost.gpu_hours)


def test_without_a_rate_it_follows_from_the_peak_and_says_that_it_is_assumed() -> None:
    plan = planned(machine=Machine(peak_tflops=200, utilisation=0.25))
    seconds = plan.cost.flops / (200e12 * 0.25)
    assert plan.cost.gpu_hours == pytest.approx(seconds / 3600)
    assert any("assumed" in warning for warning in plan.warnings)
    assert not planned(machine=Machine(rate=1000)).warnings


def test_a_dataset_gives_epochs_and_each_molecule_its_own_operations() -> None:
    text = '{"heavy_atoms": {"10": 3, "40": 1}, "splits": {"train": 1024000}}'
    plan = planned(MoleculeSizes.of_statistics(text, "statistics.json"))
    assert plan.cost.epochs == pytest.approx(300)
    config = ModelConfig.preset("84M")
    each = (3 * training_flops(config, 10) + training_flops(config, 40)) / 4
    assert plan.cost.flops == pytest.approx(300_000 * 1024 * each)


def test_the_largest_molecule_decides_the_memory_and_not_the_time() -> None:
    small, large = (planned(MoleculeSizes.assumed(25, largest, "")) for largest in (32, 128))
    assert large.chosen.activations > 10 * small.chosen.activations
    assert large.cost == small.cost


def test_checkpointing_trades_memory_for_time() -> None:
    kept, again = planned(), planned(checkpoint_activations=True)
    assert again.chosen.activations < kept.chosen.activations / 3
    assert again.cost.flops == pytest.approx(kept.cost.flops * 4 / 3)


def test_the_largest_micro_batch_fits_and_the_next_one_does_not() -> None:
    machine = Machine(gpu_memory=24 * GIB)
    plan = planned(machine=machine, micro_batch_size=128)
    assert not plan.chosen.fits
    largest = plan.chosen.largest_micro_batch
    assert any(f"pretrain.micro_batch_size={largest}" in warning for warning in plan.warnings)
    assert planned(machine=machine, micro_batch_size=largest).chosen.fits
    assert not planned(machine=machine, micro_batch_size=2 * (largest or 0)).chosen.fits


def test_where_not_one_molecule_fits_the_advice_is_another() -> None:
    plan = planned(MoleculeSizes.assumed(25, 1024, ""), Machine(gpu_memory=4 * GIB))
    assert plan.chosen.largest_micro_batch is None
    assert any("checkpoint_activations" in warning for warning in plan.warnings)


def test_half_precision_has_no_stage_0_and_fp32_has() -> None:
    half = {(memory.zero_stage, memory.offload_optimizer) for memory in planned().stages}
    full = {(memory.zero_stage, memory.offload_optimizer) for memory in planned(precision="fp32").stages}
    shared = {(stage, offload) for stage in (1, 2, 3) for offload in (False, True)}
    assert half == shared
    assert full == shared | {(0, False)}


def test_offload_without_zero_is_refused() -> None:
    with pytest.raises(ParameterError, match="offload_optimizer: needs ZeRO"):
        planned(precision="fp32", offload_optimizer=True)


# Losses that the paper prints for its law at 810,000 steps, and sizes outside of its fit.
@pytest.mark.parametrize(("size", "loss", "doubted"), [("310M", 0.0904, False), ("1.1B", 0.0875, True)])
def test_the_papers_law_foretells_the_papers_losses_and_doubts_what_it_was_not_fitted_on(
    size: str, loss: float, doubted: bool
) -> None:
    run = parse_params({"model": {"preset": size}, "pretrain": {"steps": 810_000}})
    predicted = make_plan(run, SIZES, Machine(), LawScope.paper()).loss
    assert predicted.loss == pytest.approx(loss, rel=0.005)
    assert bool(predicted.doubts) == doubted


def test_a_short_run_is_outside_of_the_papers_law() -> None:
    doubts = planned(steps=1000).loss.doubts
    assert len(doubts) == 1
    assert "1,000 steps" in doubts[0]


@pytest.mark.parametrize("atoms", [0, 65])
def test_impossible_sizes_are_refused(atoms: int) -> None:
    with pytest.raises(UserError, match="expected 1 to 64"):
        MoleculeSizes.assumed(atoms, 64, "as given")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"heavy_atoms": 3, "splits": {"train": 1}}'])
def test_a_file_that_is_no_statistics_is_refused_by_name(text: str) -> None:
    with pytest.raises(UserError, match=r"here/statistics\.json: holds no statistics"):
        MoleculeSizes.of_statistics(text, "here/statistics.json")


def test_some_of_a_gpus_memory_is_not_for_tensors() -> None:
    assert usable_bytes(80 * GIB) == pytest.approx(74 * GIB)
    assert usable_bytes(GIB) == 0
