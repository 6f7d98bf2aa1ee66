"""`unimol2 plan`: what a pretraining run will need, before it is started."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.commands.options import SetOption, read_params
from unimol2_tasks.errors import ParameterError, UserError
from unimol2_tasks.params import Params
from unimol2_tasks.planning.peaks import ASSUMED_UTILISATION

# What needs PyTorch is imported where it is used: no other command should wait for it.
if TYPE_CHECKING:
    from unimol2_tasks.planning.plan import Machine
    from unimol2_tasks.planning.prediction import LawScope
    from unimol2_tasks.planning.sizes import MoleculeSizes

PeakOption = Annotated[
    float | None,
    typer.Option(help="Without --rate: peak of one GPU; default: pretrain.peak_tflops, else an A100's."),
]
UtilisationOption = Annotated[
    float, typer.Option(help="Without --rate: share of the peak that is reached; the default is a guess.")
]
_MEAN_ATOMS = 25
"""Of drug-like molecules, heavy atoms."""


def plan(
    params: Annotated[
        Path | None,
        typer.Option(
            help="YAML file, such as one of recipes/; default: params.yaml of the working folder, else "
            "built-in values."
        ),
    ] = None,
    assignments: SetOption = None,
    gpus: Annotated[int | None, typer.Option(min=1, help="GPUs in all; default: pretrain.ranks.")] = None,
    gpu_memory_gib: Annotated[float, typer.Option(min=1.0, help="Memory of one GPU, GiB.")] = 80.0,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="What `unimol2 prepare` made: sizes of the molecules, and epochs. Nothing else is read."
        ),
    ] = None,
    atoms: Annotated[
        int | None,
        typer.Option(
            help=f"Mean heavy atoms per molecule; default: the dataset's own sizes, else {_MEAN_ATOMS}. The "
            "largest are the dataset's, else prepare.max_atoms."
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(help="Measured: `molecules_per_second_per_rank` of a run's figures (speed/)."),
    ] = None,
    peak_tflops: PeakOption = None,
    utilisation: UtilisationOption = ASSUMED_UTILISATION,
    price: Annotated[float | None, typer.Option(min=0.0, help="Of one GPU for one hour.")] = None,
    law: Annotated[
        str | None, typer.Option(help="What `unimol2 scaling fit` made; default: the paper's law.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs; memory in bytes.")] = False,
) -> None:
    """Say what pretraining will need: memory by ZeRO stage, days, GPU hours, cost, and the loss to expect.

    Nothing is run, and no GPU is needed. Memory is counted for the largest molecule, because its whole
    micro-batch is padded to it; time for each molecule at its own size.
    """
    from unimol2_tasks.planning.memory import GIB
    from unimol2_tasks.planning.plan import Machine, make_plan
    from unimol2_tasks.planning.report import plain_values, tables

    settings = _with_gpus(read_params(params, assignments), gpus)
    sizes = molecule_sizes(settings, dataset, atoms)
    machine = Machine(int(gpu_memory_gib * GIB), rate, peak_tflops, utilisation, price)
    _refuse_impossible(machine)
    made = make_plan(settings, sizes, machine, law_scope(law))
    if as_json:
        typer.echo(json.dumps(plain_values(made), indent=1))
    else:
        Console().print(tables(made))


def _with_gpus(params: Params, gpus: int | None) -> Params:
    """The same run on another number of GPUs.

    Raises:
        ParameterError: The batch cannot be shared out over them.
    """
    if gpus is None or gpus == params.pretrain.ranks:
        return params
    values = params.pretrain.model_dump(exclude_unset=True) | {"ranks": gpus}
    try:
        pretrain = type(params.pretrain).model_validate(values)
    except ValueError:
        raise ParameterError(
            f"--gpus {gpus}: batch_size {params.pretrain.batch_size} cannot be shared out over them in "
            f"micro-batches of {params.pretrain.micro_batch}; change pretrain.batch_size or "
            "pretrain.micro_batch_size with --set"
        ) from None
    return params.model_copy(update={"pretrain": pretrain})


def molecule_sizes(params: Params, dataset: str | None, atoms: int | None) -> "MoleculeSizes":
    """The molecules of `--dataset`, or assumed ones of `--atoms`.

    Raises:
        UserError: Both are given, or they are impossible.
    """
    from unimol2_tasks.planning.sizes import MoleculeSizes

    if dataset is not None and atoms is not None:
        raise UserError("--atoms and --dataset: give one; the dataset says how large its molecules are")
    if dataset is not None:
        path = f"{dataset.rstrip('/')}/statistics.json"
        with Store().open(path) as stream:
            return MoleculeSizes.of_statistics(stream.read().decode("utf-8", "replace"), path)
    largest = params.prepare.max_atoms
    source = "assumed" if atoms is None else "as given"
    return MoleculeSizes.assumed(
        min(_MEAN_ATOMS, largest) if atoms is None else atoms,
        largest,
        f"mean {source}, largest prepare.max_atoms; --dataset knows better",
    )


def law_scope(law: str | None) -> "LawScope":
    """The law of `--law`; none: the paper's."""
    from unimol2_tasks.planning.prediction import LawScope
    from unimol2_tasks.stages.scaling_results.law_files import read_fit

    if law is None:
        return LawScope.paper()
    return LawScope.of_fit(read_fit(Store().fetch(law, "law").path))


def _refuse_impossible(machine: "Machine") -> None:
    for name, value in (("--rate", machine.rate), ("--peak-tflops", machine.peak_tflops)):
        if value is not None and not value > 0:
            raise UserError(f"{name} {value}: expected more than 0")
    if not 0 < machine.utilisation <= 1:
        raise UserError(f"--utilisation {machine.utilisation}: expected a share above 0 and up to 1")
