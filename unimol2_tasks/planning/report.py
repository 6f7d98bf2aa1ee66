"""A plan for people, as tables, and for programs, as plain values."""

from dataclasses import asdict
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from unimol2_tasks.planning.memory import GIB, RankMemory
from unimol2_tasks.planning.plan import Plan

_MEMORY_COLUMNS = (
    "weights",
    "grads",
    "Adam",
    "buckets",
    "activ.",
    "in all",
    "host",
    "largest",
)


def tables(plan: Plan) -> Group:
    """The plan, its memory and its cost, with all that is assumed below them."""
    return Group(_run(plan), _memory(plan), _cost(plan), _notes(plan))


def plain_values(plan: Plan) -> dict[str, Any]:
    """The plan as JSON can hold it; memory in bytes, `total` and `fits` with each stage."""
    values = asdict(plan)
    values["sizes"] |= {"mean": plan.sizes.mean}
    values["chosen"] = _with_totals(plan.chosen)
    values["stages"] = [_with_totals(memory) for memory in plan.stages]
    return values


def _with_totals(memory: RankMemory) -> dict[str, Any]:
    totals = {"activations": memory.activations, "total": memory.total, "fits": memory.fits}
    return asdict(memory) | totals


def _run(plan: Plan) -> Table:
    table = _facts(f"{plan.preset}: {plan.parameters:,} parameters")
    sizes = plan.sizes
    table.add_row("molecules", f"{sizes.mean:.1f} heavy atoms on average, {sizes.largest} at most")
    table.add_row("", f"{sizes.source}")
    table.add_row("batch", f"{plan.batch:,} = {plan.gpus} GPUs × {_share(plan)}")
    table.add_row("precision", plan.precision)
    table.add_row("ZeRO stage", _stage(plan.chosen))
    table.add_row("checkpointed", "activations" if plan.checkpoint_activations else "nothing")
    return table


def _share(plan: Plan) -> str:
    passes = "pass" if plan.accumulation == 1 else "passes"
    return f"{plan.chosen.micro_batch} molecules × {plan.accumulation} {passes}"


def _memory(plan: Plan) -> Table:
    table = Table(
        title="GiB per GPU by ZeRO stage, and the largest micro-batch that fits",
        title_justify="left",
        caption="* as the parameters say; Adam: fp32 weights, moments, moving average; activations of "
        f"{plan.chosen.micro_batch} molecules of {plan.sizes.largest} atoms; host: the CPU's memory",
        caption_justify="left",
    )
    table.add_column("stage", no_wrap=True)
    for column in _MEMORY_COLUMNS:
        table.add_column(column, justify="right")
    for memory in plan.stages:
        mark = " *" if _stage(memory) == _stage(plan.chosen) else ""
        style = "" if memory.fits else "red"
        table.add_row(_stage(memory) + mark, *_bytes(memory), _largest(memory), style=style)
    return table


def _bytes(memory: RankMemory) -> list[str]:
    states = memory.states
    values = (
        states.weights,
        states.gradients,
        states.masters + states.moments + states.average,
        states.buckets,
        memory.activations,
        memory.total,
        states.host,
    )
    return [f"{value / GIB:.1f}" for value in values]


def _stage(memory: RankMemory) -> str:
    return f"{memory.zero_stage}{', offload' if memory.offload_optimizer else ''}"


def _largest(memory: RankMemory) -> str:
    return "none fits" if memory.largest_micro_batch is None else str(memory.largest_micro_batch)


def _cost(plan: Plan) -> Table:
    cost = plan.cost
    table = _facts("Time, cost and result")
    table.add_row("optimiser steps", f"{plan.steps:,}")
    table.add_row("samples", f"{cost.samples:,}")
    if cost.epochs is not None:
        table.add_row("epochs", f"{cost.epochs:,.2f}")
    table.add_row("operations", f"{cost.flops:.3g} FLOP")
    table.add_row("molecules / s / GPU", f"{plan.speed.rate:,.0f} ({plan.speed.source})")
    table.add_row("GPU hours", f"{cost.gpu_hours:,.1f}")
    table.add_row("days", f"{cost.days:,.2f}")
    if cost.price is not None:
        table.add_row("cost", f"{cost.price:,.2f}")
    table.add_row("validation loss", f"{plan.loss.loss:.4f} ({plan.loss.law})")
    return table


def _facts(title: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _notes(plan: Plan) -> Text:
    budget = f"{plan.chosen.budget / GIB:.1f} GiB of a GPU are taken to be usable (95 % less 2 GiB)"
    notes = [
        f"Assumed: {budget}; GPUs lose nothing to each other, nor to validation.",
        "Counted: weights, gradients and Adam's state as DeepSpeed keeps them; activations as autograd keeps "
        "them on a CPU.",
    ]
    return Text("\n".join([*notes, *(f"Note: {warning}" for warning in plan.warnings)]))
