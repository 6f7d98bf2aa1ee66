"""Memory per GPU by ZeRO stage, and the largest micro-batch that fits."""

from dataclasses import dataclass

from unimol2_model import ModelConfig
from unimol2_tasks.params import TrainingParams
from unimol2_tasks.planning.activations import activation_bytes
from unimol2_tasks.planning.states import StateMemory, state_memory
from unimol2_tasks.training.deepspeed_config import deepspeed_config, zero_stage

GIB = 2**30

OUTSIDE_BYTES = 2 * GIB
"""CUDA's context and the buffers of NCCL and cuBLAS: an assumption."""
USABLE_SHARE = 0.95
"""Of a GPU's memory; the rest is lost between the blocks of PyTorch's allocator: an assumption."""

_STAGES = (0, 1, 2, 3)


@dataclass(frozen=True, slots=True)
class RankMemory:
    """What one rank takes with one ZeRO stage; a rank is a GPU."""

    zero_stage: int
    """As DeepSpeed runs it: half precision has no stage 0."""
    offload_optimizer: bool
    states: StateMemory
    molecule: int
    """Bytes of activations of one molecule that is padded to the largest."""
    micro_batch: int
    """Molecules per forward pass."""
    largest_micro_batch: int | None
    """The most molecules per forward pass that fit and share out the batch evenly; None: not even one."""
    budget: int
    """Bytes of the GPU that tensors can take."""

    @property
    def activations(self) -> int:
        """Bytes of the activations of a micro-batch."""
        return self.micro_batch * self.molecule

    @property
    def total(self) -> int:
        """Bytes of all tensors on the GPU at the peak of a step."""
        return self.states.kept + max(self.activations, self.states.step)

    @property
    def fits(self) -> bool:
        """Whether the peak is within the budget."""
        return self.total <= self.budget


def usable_bytes(gpu_memory: int) -> int:
    """What tensors can take of a GPU of so many bytes."""
    return max(0, int(USABLE_SHARE * gpu_memory) - OUTSIDE_BYTES)


def rank_memory(
    params: TrainingParams, config: ModelConfig, parameters: int, largest: int, gpu_memory: int
) -> RankMemory:
    """Count what a rank takes with the stage, the offload and the micro-batch that `params` say.

    Args:
        params: of the run; its ranks are the GPUs.
        config: the architecture.
        parameters: of the network.
        largest: heavy atoms of the largest molecule.
        gpu_memory: bytes of one GPU.
    """
    stage = zero_stage(params)
    states = state_memory(
        parameters,
        params.precision,
        stage,
        params.ranks,
        offload=params.offload_optimizer,
        averaged=params.ema_decay is not None,
        zero=deepspeed_config(params)["zero_optimization"],
    )
    molecule = activation_bytes(
        config, largest, params.precision, checkpoint_activations=params.checkpoint_activations
    )
    budget = usable_bytes(gpu_memory)
    share = params.batch_size // params.ranks
    room = budget - states.kept
    fitting = [size for size in range(1, share + 1) if share % size == 0 and size * molecule <= room]
    return RankMemory(
        zero_stage=stage,
        offload_optimizer=params.offload_optimizer,
        states=states,
        molecule=molecule,
        micro_batch=params.micro_batch,
        largest_micro_batch=max(fitting) if fitting and states.step <= room else None,
        budget=budget,
    )


def memory_by_stage(
    params: TrainingParams, config: ModelConfig, parameters: int, largest: int, gpu_memory: int
) -> tuple[RankMemory, ...]:
    """Count for every stage and offload that there is at this precision; takes what `rank_memory` does."""
    found: dict[tuple[int, bool], RankMemory] = {}
    for stage in _STAGES:
        for offload in (False, True):
            other = params.model_copy(update={"zero_stage": stage, "offload_optimizer": offload})
            if offload and not zero_stage(other):
                continue
            memory = rank_memory(other, config, parameters, largest, gpu_memory)
            found.setdefault((memory.zero_stage, offload), memory)
    return tuple(found.values())
