"""Molecules per second, memory and share of the measured matrix-product rate, size by size.

Real drug-like molecules in batches limited by pairs and padded to few lengths, as pretraining runs them:
inference is the pretraining model's forward pass, a training step forward, backward and gradient, without an
optimiser. Operations are those of the factorised outer product (unimol2_model.flops), real atoms only,
so padding and repeated work lower the share.
"""

import argparse
import statistics
import time
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.comparison.machine import matmul_rate, name_of, wait
from benchmarks.comparison.molecules import drug_like_molecules, mixed_set
from unimol2_model import ModelConfig, Molecule, MoleculeBatch, UniMol2ForPretraining, batch_by_pairs
from unimol2_model.flops import backbone_flops

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PAIRS = {"cpu": 2**12, "cuda": 2**17}
BUCKETS = (16, 24, 32, 48)
MASKED = 0.15


class Rate(NamedTuple):
    """One measurement."""

    seconds: float
    peak_gib: float | None


def main() -> None:
    """Print two rows per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["84M"], help="networks (default: 84M)")
    parser.add_argument("--molecules", type=int, default=64, help="(default: 64)")
    parser.add_argument("--precision", choices=sorted(PRECISIONS), default="fp32", help="(default: fp32)")
    parser.add_argument("--device", choices=sorted(PAIRS), default="cpu", help="(default: cpu)")
    parser.add_argument("--pairs", type=int, help="per batch (default: 4096 on a CPU, 131072 on a GPU)")
    parser.add_argument("--compile", action="store_true", help="each block by torch.compile")
    parser.add_argument("--checkpoint", action="store_true", help="activations: recompute each block")
    parser.add_argument("--repetitions", type=int, default=3, help="of each measurement (default: 3)")
    options = parser.parse_args()
    device = torch.device(options.device)
    molecules = [
        with_targets(Molecule(**arrays)) for arrays in mixed_set(drug_like_molecules(), options.molecules)
    ]
    batches = make_batches(molecules, options.pairs or PAIRS[options.device], device)
    rate = matmul_rate(PRECISIONS[options.precision], device)
    atoms = [molecule.atoms for molecule in molecules]
    how = "compiled" if options.compile else "eager"
    title = (
        f"{options.molecules} molecules of {min(atoms)} to {max(atoms)} atoms, {options.precision}, {how}, "
        f"{name_of(device)}; a matrix product runs at {rate / 1e12:.2f} TFLOP/s"
    )
    table = Table("size", "step", "molecules / s", "peak GiB", "of the rate", title=title)
    for size in options.sizes:
        config = ModelConfig.preset(size)
        model = build(config, device, PRECISIONS[options.precision], options.compile, options.checkpoint)
        forward = sum(backbone_flops(config, molecule.atoms) for molecule in molecules)
        for step, operations in (("inference", forward), ("training", 3 * forward)):
            seconds, peak = measure(model, batches, step == "training", options.repetitions)
            table.add_row(
                size,
                step,
                f"{len(molecules) / seconds:.1f}",
                "–" if peak is None else f"{peak:.1f}",
                f"{operations / seconds / rate:.0%}",
            )
    Console().print(table)


def with_targets(molecule: Molecule) -> Molecule:
    """Mask some atoms; the objective's numbers do not change the time."""
    masked = np.random.default_rng(molecule.atoms).random(molecule.atoms) < MASKED
    return replace(
        molecule,
        tokens=np.where(masked, 127, molecule.tokens),
        target_tokens=np.where(masked, molecule.tokens, 0),
        target_positions=molecule.positions,
    )


def make_batches(molecules: list[Molecule], pairs: int, device: torch.device) -> list[MoleculeBatch]:
    chosen = batch_by_pairs([molecule.atoms for molecule in molecules], pairs, buckets=BUCKETS)
    return [
        MoleculeBatch.collate([molecules[index] for index in batch], buckets=BUCKETS).to(device)
        for batch in chosen
    ]


def build(
    config: ModelConfig, device: torch.device, dtype: torch.dtype, compiled: bool, checkpointed: bool
) -> UniMol2ForPretraining:
    with device:
        model = UniMol2ForPretraining(config).to(dtype)
    model.backbone.checkpoint_activations = checkpointed
    if compiled:
        for block in model.backbone.blocks:
            block.compile(dynamic=False)
    return model


def measure(
    model: UniMol2ForPretraining, batches: list[MoleculeBatch], train: bool, repetitions: int
) -> Rate:
    """Run over all batches again and again; the first time warms up, compiles, and is not counted."""
    device = batches[0].tokens.device
    model.train(train)
    seconds = []
    for _ in range(repetitions + 1):
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        wait(device)
        start = time.perf_counter()
        run(model, batches, train)
        wait(device)
        seconds.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None
    return Rate(statistics.median(seconds[1:]), peak)


def run(model: UniMol2ForPretraining, batches: list[MoleculeBatch], train: bool) -> None:
    model.zero_grad()
    for batch in batches:
        with torch.set_grad_enabled(train):
            loss = model.loss(batch).total
        if train:
            torch.autograd.backward(loss)


if __name__ == "__main__":
    main()
