"""`unimol2 scaling plan`: the best size and number of steps for a budget of GPU hours."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.commands.options import ParamsOption, SetOption, read_params
from unimol2_tasks.commands.plan import PeakOption, UtilisationOption, law_scope, molecule_sizes
from unimol2_tasks.errors import UserError
from unimol2_tasks.params import Counted, ModelParams, Params
from unimol2_tasks.planning.peaks import A100_TFLOPS, ASSUMED_UTILISATION

# What needs PyTorch or SciPy is imported where it is used: no other command should wait for it.
if TYPE_CHECKING:
    from unimol2_tasks.planning.budget import BudgetPlan, Candidate
    from unimol2_tasks.planning.sizes import MoleculeSizes
    from unimol2_tasks.scaling.resampling import Replica

_PRESETS = ("42M", "84M", "164M", "310M", "570M", "1.1B")

LawOption = Annotated[str | None, typer.Option(help="What `unimol2 scaling fit` made; default: the paper's.")]


def plan(
    gpu_hours: Annotated[float, typer.Option(help="The budget: hours of one GPU, over all GPUs.")],
    law: LawOption = None,
    params: ParamsOption = None,
    assignments: SetOption = None,
    dataset: Annotated[
        str | None, typer.Option(help="What `unimol2 prepare` made: how large the molecules are.")
    ] = None,
    atoms: Annotated[
        int | None, typer.Option(help="Mean heavy atoms per molecule, without --dataset; default: 25.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Measured molecules per second and GPU of the network of `model`; other sizes are taken "
            "to reach as many operations per second."
        ),
    ] = None,
    peak_tflops: PeakOption = None,
    utilisation: UtilisationOption = ASSUMED_UTILISATION,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Find the size and number of steps that reach the lowest loss for a budget of GPU hours.

    Candidates are the sizes of the section `study` of the parameters, else the paper's; between them the
    operations per molecule are interpolated. `pretrain.batch_size` says what a step is;
    `pretrain.checkpoint_activations` adds a third to its operations.
    """
    from unimol2_tasks.planning.budget import Budget, plan_budget
    from unimol2_tasks.stages.scaling_results.law_files import read_replicas

    settings = read_params(params, assignments)
    sizes = molecule_sizes(settings, dataset, atoms)
    speed = _flops_per_second(settings, sizes, rate, peak_tflops, utilisation)
    scope = law_scope(law)
    budget = Budget(gpu_hours, speed, settings.pretrain.batch_size)
    try:
        made = plan_budget(budget, _candidates(settings, sizes, scope.counted), scope)
    except ValueError as error:
        raise UserError(f"scaling plan: {error}") from None
    replicas = [] if law is None else read_replicas(Store().fetch(law, "law").path)
    if as_json:
        values = asdict(made) | {"interval": _interval(made, replicas), "warnings": _warnings(made)}
        typer.echo(json.dumps(values, indent=1))
    else:
        Console().print(_tables(made, gpu_hours, replicas, scope.counted))


def _flops_per_second(
    params: Params,
    sizes: "MoleculeSizes",
    rate: float | None,
    peak_tflops: float | None,
    utilisation: float,
) -> float:
    from unimol2_tasks.planning.cost import molecule_flops
    from unimol2_tasks.training.network import model_config

    for name, value in (("--rate", rate), ("--peak-tflops", peak_tflops), ("--utilisation", utilisation)):
        if value is not None and not value > 0:
            raise UserError(f"{name} {value}: expected more than 0")
    if utilisation > 1:
        raise UserError(f"--utilisation {utilisation}: expected a share above 0 and up to 1")
    if rate is not None:
        recomputed = params.pretrain.checkpoint_activations
        return rate * molecule_flops(model_config(params.model), sizes.counts, recomputed)
    tflops = peak_tflops or params.pretrain.peak_tflops or A100_TFLOPS[params.pretrain.precision]
    return tflops * 1e12 * utilisation


def _candidates(params: Params, sizes: "MoleculeSizes", counted: Counted) -> "list[Candidate]":
    from unimol2_tasks.planning.budget import Candidate
    from unimol2_tasks.stages.study import ladder
    from unimol2_tasks.training.network import model_config

    if params.study.sizes:
        networks = {rung.name: rung.params.model for rung in ladder(params)}
    else:
        networks = {preset: ModelParams(preset=preset) for preset in _PRESETS}
    recomputed = params.pretrain.checkpoint_activations
    return [
        Candidate.of(name, model_config(model), sizes, recomputed, counted)
        for name, model in networks.items()
    ]


def _tables(made: "BudgetPlan", gpu_hours: float, replicas: "Sequence[Replica]", counted: Counted) -> Group:
    table = Table(
        title=f"{gpu_hours:g} GPU hours, spent on one size each",
        title_justify="left",
        caption="* the best; a size without a name lies between the candidates",
        caption_justify="left",
    )
    parameters = "parameters" if counted == "all" else "parameters of blocks"
    for column in ("size", parameters, "molecules / s / GPU", "steps", "loss"):
        table.add_column(column, justify="right")
    for one in made.spendings:
        mark = " *" if one is made.optimum else ""
        figures = (f"{one.millions * 1e6:,.0f}", f"{one.rate:,.0f}", f"{one.steps:,.0f}", f"{one.loss:.4f}")
        table.add_row(one.name + mark, *figures, style="" if not one.doubts else "dim")
    notes = [f"Note: {warning}" for warning in _warnings(made)]
    interval = _interval(made, replicas)
    if interval is not None:
        notes.insert(0, f"The best: {interval[0]:.4f} to {interval[1]:.4f} (95 % interval of a measurement)")
    return Group(table, Text("\n".join(notes)))


def _interval(made: "BudgetPlan", replicas: "Sequence[Replica]") -> tuple[float, float] | None:
    from unimol2_tasks.scaling.resampling import prediction_interval

    if not replicas:
        return None
    low, high = prediction_interval(replicas, made.optimum.millions, made.optimum.steps)
    return float(low), float(high)


def _warnings(made: "BudgetPlan") -> list[str]:
    found = [f"the best is outside the fit: {doubt}" for doubt in made.optimum.doubts]
    if made.at_end:
        found.append(
            "the best is the last of the candidates: beyond it the loss may be lower still; add sizes to "
            "study.sizes"
        )
    return found
