"""The factorised outer product of the pair track against the materialised one of the released code.

Both compute W (a_i ⊗ b_j) + bias from the same inputs in the same process. Their repetitions alternate, so
that whatever else the machine does falls on both, and what is printed are ratios of medians.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from unimol2_model import ModelConfig
from unimol2_model.pair import BilinearMap

Product = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Result:
    """How many times as much the materialised form takes."""

    atoms: int
    forward: float
    """Ratio of times, without gradients."""
    training: float
    """Ratio of times, forward and backward."""
    kept: float
    """Ratio of the bytes of activations that autograd keeps for the backward pass."""
    kept_mib: float
    """What the factorised form keeps, MiB."""


def main() -> None:
    """Print one row per number of atoms."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", default="84M", help="network whose widths are taken (default: 84M)")
    parser.add_argument("--atoms", type=int, nargs="+", default=[16, 24, 32], help="atoms per molecule")
    parser.add_argument("--batch", type=int, default=4, help="molecules per batch (default: 4)")
    parser.add_argument("--repetitions", type=int, default=7, help="of each measurement (default: 7)")
    options = parser.parse_args()
    config = ModelConfig.preset(options.size)
    results = [compare(config, atoms, options.batch, options.repetitions) for atoms in options.atoms]
    title = (
        f"materialised / factorised: h = {config.pair_hidden_dim}, P = {config.pair_dim}, fp32, "
        f"{options.batch} molecules, {torch.get_num_threads()} threads"
    )
    table = Table(
        "atoms", "forward", "forward + backward", "kept for backward", "factorised keeps", title=title
    )
    for result in results:
        ratios = (f"{ratio:.1f}×" for ratio in (result.forward, result.training, result.kept))
        table.add_row(str(result.atoms), *ratios, f"{result.kept_mib:.1f} MiB")
    Console().print(table)


def compare(config: ModelConfig, atoms: int, batch: int, repetitions: int) -> Result:
    """Measure both forms on random inputs after a check that they agree."""
    torch.manual_seed(0)
    hidden = config.pair_hidden_dim
    layer = BilinearMap("layerwise", hidden, config.pair_dim)
    with torch.no_grad():
        # Its training starts from zeros, with which any two forms would agree.
        layer.weight.normal_(std=0.02)
    # The molecule token is one more row.
    a, b = (torch.randn(batch, atoms + 1, hidden, requires_grad=True) for _ in range(2))
    norm = torch.ones(batch, atoms + 1, atoms + 1, 1)

    def materialised(a: Tensor, b: Tensor, norm: Tensor) -> Tensor:
        outer = torch.einsum("bic,bjd->bijcd", a, b).flatten(-2)
        return torch.nn.functional.linear(outer, layer.weight) + norm * layer.bias

    forms: tuple[Product, Product] = (materialised, layer)
    torch.testing.assert_close(*(form(a, b, norm) for form in forms), rtol=1e-4, atol=1e-4)
    kept = [kept_bytes(form, layer, a, b, norm) for form in forms]
    return Result(
        atoms=atoms,
        forward=ratio_of_times([partial(infer, form, a, b, norm) for form in forms], repetitions),
        training=ratio_of_times([partial(train, form, a, b, norm) for form in forms], repetitions),
        kept=kept[0] / kept[1],
        kept_mib=kept[1] / 2**20,
    )


def infer(form: Product, a: Tensor, b: Tensor, norm: Tensor) -> None:
    with torch.no_grad():
        form(a, b, norm)


def train(form: Product, a: Tensor, b: Tensor, norm: Tensor) -> None:
    torch.autograd.backward(form(a, b, norm).sum())


def ratio_of_times(calls: Sequence[Callable[[], None]], repetitions: int) -> float:
    """Median time of the first call over that of the second; one repetition of each warms up."""
    seconds: list[list[float]] = [[], []]
    for repetition in range(repetitions + 1):
        for place in (0, 1) if repetition % 2 else (1, 0):
            start = time.perf_counter()
            calls[place]()
            if repetition:
                seconds[place].append(time.perf_counter() - start)
    return statistics.median(seconds[0]) / statistics.median(seconds[1])


def kept_bytes(form: Product, layer: torch.nn.Module, a: Tensor, b: Tensor, norm: Tensor) -> int:
    """Bytes that autograd keeps between forward and backward, besides inputs and weights."""
    given = {tensor.untyped_storage().data_ptr() for tensor in (a, b, norm, *layer.parameters())}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in given:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        form(a, b, norm)
    return sum(kept.values())


if __name__ == "__main__":
    main()
