"""Where the time of the network goes, part by part.

Each part is run alone on the inputs that it gets inside the network, forward and, with --train, backward too;
the last row is the whole pretraining step. Floating-point operations are those that are executed (a
multiplication and an addition each count), so with --train what is repeated backward is in them. The rate of
every part is set beside that of one matrix product measured in the same run.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.comparison.machine import matmul_rate, name_of, wait
from unimol2_model import ModelConfig, Molecule, MoleculeBatch, UniMol2ForPretraining

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Part:
    """A module of the network with the inputs that it gets there."""

    name: str
    module: nn.Module
    inputs: tuple[Any, ...]
    times: int
    """How often the network has it."""


class Cost(NamedTuple):
    """What a part takes, all its occurrences together."""

    seconds: float
    operations: float
    moved: int
    """Bytes of inputs, weights and outputs: the least that has to be read and written forward."""
    kept: int
    """Bytes held from forward to backward besides weights; 0 without a backward pass."""


def main() -> None:
    """Print one row per part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", default="84M", help="of the network (default: 84M)")
    parser.add_argument("--atoms", type=int, default=31, help="per molecule (default: 31)")
    parser.add_argument("--batch", type=int, default=4, help="molecules (default: 4)")
    parser.add_argument("--precision", choices=sorted(PRECISIONS), default="fp32", help="(default: fp32)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--train", action="store_true", help="forward and backward, with dropout")
    parser.add_argument("--repetitions", type=int, default=7, help="of each measurement (default: 7)")
    options = parser.parse_args()
    torch.manual_seed(0)
    dtype = PRECISIONS[options.precision]
    model = UniMol2ForPretraining(ModelConfig.preset(options.size)).to(options.device, dtype)
    model.train(options.train)
    batch = MoleculeBatch.collate([molecule(options.atoms, k) for k in range(options.batch)])
    batch = batch.to(options.device)
    parts = take_apart(model, batch)
    rate = matmul_rate(dtype, torch.device(options.device))
    title = (
        f"{options.size}, {options.batch} molecules of {options.atoms} atoms, {options.precision}, "
        f"{'forward + backward' if options.train else 'forward'}, {name_of(torch.device(options.device))}; "
        f"a matrix product runs at {rate / 1e9:.0f} GFLOP/s"
    )
    table = Table(title=title)
    table.add_column("part")
    for column in ("ms", "share", "GFLOP", "MiB moved", "MiB kept", "of the rate"):
        table.add_column(column, justify="right")
    costs = {part.name: measure(part, options.train, options.repetitions) for part in parts}
    seconds = median_seconds(
        lambda: step(model, batch, options.train), options.repetitions, batch.tokens.device
    )
    for name, cost in costs.items():
        table.add_row(name, *cells(cost, seconds, rate))
    total = [sum(column) for column in zip(*costs.values(), strict=True)]
    table.add_section()
    table.add_row("whole step", *cells(Cost(seconds, *total[1:]), seconds, rate))
    Console().print(table)


def cells(cost: "Cost", whole: float, rate: float) -> list[str]:
    return [
        f"{cost.seconds * 1e3:.1f}",
        f"{cost.seconds / whole:.0%}",
        f"{cost.operations / 1e9:.1f}",
        f"{cost.moved / 2**20:.0f}",
        f"{cost.kept / 2**20:.0f}",
        f"{cost.operations / cost.seconds / rate:.0%}",
    ]


def molecule(n: int, seed: int) -> Molecule:
    """A molecule of n atoms; what it is made of does not change the time."""
    rng = np.random.default_rng(seed)
    masked = np.arange(n) < max(1, round(0.15 * n))
    return Molecule(
        tokens=np.where(masked, 127, 6),
        atom_features=rng.integers(1, 130, (n, 8)),
        degrees=rng.integers(2, 7, n),
        bond_features=rng.integers(1, 50, (n, n, 3)),
        path_lengths=rng.integers(1, 12, (n, n)),
        pair_types=rng.integers(1, 140, (n, n, 2)),
        positions=rng.normal(scale=3.0, size=(n, 3)).astype(np.float32),
        target_tokens=np.where(masked, 6, 0),
        target_positions=rng.normal(scale=3.0, size=(n, 3)).astype(np.float32),
    )


def take_apart(model: UniMol2ForPretraining, batch: MoleculeBatch) -> list[Part]:
    """The parts with the inputs that they get in one forward pass."""
    block = model.backbone.blocks[0]
    blocks = len(model.backbone.blocks)
    modules: dict[str, tuple[Any, int]] = {
        "3D kernel": (model.backbone.pair_embedding.distance, 1),
        "attention": (block.attention, blocks),
        "atom feed-forward": (block.atom_transition, blocks),
        "outer product": (block.outer_product, blocks),
        "triangle": (block.triangle, blocks),
        "pair feed-forward": (block.pair_transition, blocks),
        "position head": (model.position_head, 1),
        "atom-type head": (model.atom_type_head, 1),
    }
    inputs: dict[nn.Module, tuple[Any, ...]] = {}
    hooks = [
        module.register_forward_pre_hook(lambda module, given: inputs.update({module: given}))
        for module, _ in modules.values()
    ]
    with torch.no_grad():
        model(batch)
    for hook in hooks:
        hook.remove()
    return [Part(name, module, inputs[module], times) for name, (module, times) in modules.items()]


def measure(part: Part, train: bool, repetitions: int) -> Cost:
    """Time one part on its own device; count its operations and bytes."""
    inputs = tuple(differentiable(given, train) for given in part.inputs)
    weights = list(part.module.parameters())
    seconds = median_seconds(lambda: run(part.module, inputs, train), repetitions, weights[0].device)
    tensors = [given for given in inputs if isinstance(given, Tensor)]
    with torch.no_grad():
        output = part.module(*inputs)
    moved = sum(tensor.nbytes for tensor in (*weights, *tensors, output))
    held = kept(part.module, inputs, weights) if train else 0
    counted = operations(part.module, inputs, train)
    return Cost(part.times * seconds, part.times * counted, part.times * moved, part.times * held)


def differentiable(given: Any, train: bool) -> Any:
    if isinstance(given, Tensor) and given.is_floating_point():
        return given.detach().requires_grad_(train)
    return given


def step(model: UniMol2ForPretraining, batch: MoleculeBatch, train: bool) -> None:
    with torch.set_grad_enabled(train):
        loss = model.loss(batch).total
    if train:
        torch.autograd.backward(loss)


def run(module: nn.Module, inputs: tuple[Any, ...], train: bool) -> None:
    if not train:
        with torch.no_grad():
            module(*inputs)
        return
    output = module(*inputs)
    torch.autograd.backward(output, torch.ones_like(output))


def operations(module: nn.Module, inputs: tuple[Any, ...], train: bool) -> float:
    """Count on the meta device, where every product is one that the counter knows."""
    shapes = tuple(differentiable(on_meta(given), train) for given in inputs)
    with FlopCounterMode(display=False) as counter:
        run(deepcopy(module).to("meta"), shapes, train)
    return float(counter.get_total_flops())


def on_meta(given: Any) -> Any:
    return given.to("meta") if isinstance(given, Tensor) else type(given)(*map(on_meta, given))


def kept(module: nn.Module, inputs: tuple[Any, ...], weights: list[nn.Parameter]) -> int:
    """Bytes that autograd keeps between forward and backward, besides weights."""
    given = {weight.untyped_storage().data_ptr() for weight in weights}
    sizes: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in given:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        module(*inputs)
    return sum(sizes.values())


def median_seconds(call: Callable[[], object], repetitions: int, device: torch.device) -> float:
    """Median duration; one run at first warms up."""
    seconds = []
    for _ in range(repetitions + 1):
        wait(device)
        start = time.perf_counter()
        call()
        wait(device)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


if __name__ == "__main__":
    main()
