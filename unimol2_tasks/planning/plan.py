"""The plan of a pretraining run: everything that can be known before it is paid for."""

from dataclasses import dataclass

from unimol2_tasks.params import Params
from unimol2_tasks.planning.cost import (
    Cost,
    Speed,
    cost_of,
    molecule_flops,
    speed_of_peak,
)
from unimol2_tasks.planning.memory import GIB, RankMemory, memory_by_stage, rank_memory, usable_bytes
from unimol2_tasks.planning.peaks import A100_TFLOPS, ASSUMED_UTILISATION
from unimol2_tasks.planning.prediction import LawScope, PredictedLoss, predict_loss
from unimol2_tasks.planning.sizes import MoleculeSizes
from unimol2_tasks.training.deepspeed_config import refuse_unsupported
from unimol2_tasks.training.network import model_config
from unimol2_tasks.training.size import count_parameters


@dataclass(frozen=True, slots=True)
class Machine:
    """The GPUs, and what they can do."""

    gpu_memory: int = 80 * GIB
    """Bytes of one GPU."""
    rate: float | None = None
    """Molecules per second and GPU, measured; None: from the peak."""
    peak_tflops: float | None = None
    """Peak of one GPU at the run's precision, in 10¹² operations per second; None: `pretrain.peak_tflops`,
    else that of an A100."""
    utilisation: float = ASSUMED_UTILISATION
    """Share of the peak that training reaches."""
    price: float | None = None
    """Of one GPU for one hour, in any currency."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pretraining run needs and promises."""

    preset: str
    """`model.preset`."""
    parameters: int
    precision: str
    gpus: int
    batch: int
    """Molecules per optimiser step, over all GPUs."""
    accumulation: int
    """Forward passes per optimiser step."""
    checkpoint_activations: bool
    steps: int
    """Optimiser steps."""
    sizes: MoleculeSizes
    chosen: RankMemory
    """With the stage, offload and micro-batch of the parameters."""
    stages: tuple[RankMemory, ...]
    """With every stage, without and with offload."""
    speed: Speed
    cost: Cost
    loss: PredictedLoss
    warnings: tuple[str, ...]
    """What makes the figures doubtful, for people."""


def make_plan(params: Params, sizes: MoleculeSizes, machine: Machine, scope: LawScope) -> Plan:
    """Plan the run that `params` describe; its ranks are the GPUs.

    Args:
        params: of the run.
        sizes: of the molecules.
        machine: the GPUs.
        scope: the scaling law.

    Raises:
        ParameterError: the parameters are impossible together.
    """
    training = params.pretrain
    refuse_unsupported(training, "cuda")
    config = model_config(params.model)
    parameters = count_parameters(config)
    needed = (training, config, parameters, sizes.largest, machine.gpu_memory)
    flops = molecule_flops(config, sizes.counts, training.checkpoint_activations)
    speed = _speed(params, machine, flops)
    chosen = rank_memory(*needed)
    size = count_parameters(config, scope.counted) / 1e6
    loss = predict_loss(scope, size, training.steps, training.batch_size)
    return Plan(
        preset=params.model.preset,
        parameters=parameters,
        precision=training.precision,
        gpus=training.ranks,
        batch=training.batch_size,
        accumulation=training.accumulation,
        checkpoint_activations=training.checkpoint_activations,
        steps=training.steps,
        sizes=sizes,
        chosen=chosen,
        stages=memory_by_stage(*needed),
        speed=speed,
        cost=cost_of(
            steps=training.steps,
            batch=training.batch_size,
            flops=flops,
            gpus=training.ranks,
            speed=speed,
            training=sizes.training,
            price=machine.price,
        ),
        loss=loss,
        warnings=(*_warnings(params, machine, chosen, speed), *loss.doubts),
    )


def _speed(params: Params, machine: Machine, flops: float) -> Speed:
    if machine.rate is not None:
        return Speed(machine.rate, "as given", assumed=False)
    given = machine.peak_tflops or params.pretrain.peak_tflops
    tflops = given or A100_TFLOPS[params.pretrain.precision]
    source = f"{tflops:g} TFLOP/s" + ("" if given else ", the peak of an A100")
    return speed_of_peak(flops, tflops, machine.utilisation, source)


def _warnings(params: Params, machine: Machine, chosen: RankMemory, speed: Speed) -> list[str]:
    found = []
    if not chosen.fits:
        found.append(
            f"micro-batches of {chosen.micro_batch} do not fit: {chosen.total / GIB:.1f} GiB of "
            f"{usable_bytes(machine.gpu_memory) / GIB:.1f} GiB that can be used per GPU; {_advice(chosen)}"
        )
    if speed.assumed:
        found.append(
            "the rate is assumed, and time and cost with it; measure it in some hundred steps and give --rate"
        )
    if params.pretrain.compile:
        found.append("a compiled network chooses itself what it keeps: activations may take less or more")
    return found


def _advice(memory: RankMemory) -> str:
    if memory.largest_micro_batch is not None:
        return f"set pretrain.micro_batch_size={memory.largest_micro_batch}"
    return (
        "set pretrain.checkpoint_activations=true or a higher zero_stage, take more GPUs, or leave out the "
        "largest molecules (prepare.max_atoms)"
    )
