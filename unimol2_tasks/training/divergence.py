"""What a replayed batch says about why training gave up, and what to do."""

from collections.abc import Sequence

from unimol2_tasks.training.replay import Diverged, ReplayedMolecule

_NAMED = 5
_FARTHEST = 1000.0
"""Å: no atom of a molecule is farther from its centre; 1,024 atoms in a straight chain reach 650."""


def advice(diverged: Diverged, molecules: Sequence[ReplayedMolecule]) -> str:
    """What happened and what to change, in a few sentences."""
    refused = [molecule for molecule in molecules if molecule.verdict == "refused"]
    broken = [molecule for molecule in molecules if molecule.verdict == "not finite"]
    narrow = [molecule for molecule in molecules if molecule.verdict == "overflow"]
    if weights := diverged.broken_weights:
        return (
            f"The weights were broken before step {diverged.batch.step}: {_some(weights)} hold numbers that "
            "are not finite. It is not this batch. Start anew with a lower pretrain.learning_rate, a longer "
            "pretrain.warmup_steps or pretrain.clip=1; if that learns well for long and then fails alike, "
            "test the machine's memory."
        )
    far = [molecule for molecule in broken if molecule.reach > _FARTHEST]
    if len(broken) > len(molecules) // 2 and not far:
        return (
            f"{len(broken)} of {len(molecules)} molecules are not finite in fp32 either: the weights, though "
            "finite, have grown too large. Training has diverged: start anew with a lower "
            "pretrain.learning_rate, a longer pretrain.warmup_steps or pretrain.clip=1."
        )
    if bad := [*(far or broken), *refused]:
        return (
            f"Bad data: {_named(bad)} cannot be learned at any precision. Look at the coordinates (column "
            "reach), leave what is wrong out of the table, and prepare the dataset again."
        )
    if narrow:
        return (
            f"Overflow of {_named(narrow)}: not finite in {diverged.batch.precision}, finite in fp32. "
            f"Start anew with pretrain.precision={'bf16' if diverged.batch.precision == 'fp16' else 'fp32'}, "
            "or with a lower pretrain.learning_rate."
        )
    return _blameless(molecules)


def _blameless(molecules: Sequence[ReplayedMolecule]) -> str:
    norms = {molecule.id: molecule.found.gradient_norm for molecule in molecules if molecule.found}
    largest = sorted(norms, key=lambda name: norms[name], reverse=True)[:_NAMED]
    return (
        f"Every molecule is finite alone, without dropout. The largest gradients are those of "
        f"{_some(largest)}. Start the run again: if it gives up at another step, look at the machine "
        "(memory, network); if at the same one, it needs the whole batch: try it with dropout 0 in model, "
        "and with pretrain.precision=fp32."
    )


def _named(molecules: Sequence[ReplayedMolecule]) -> str:
    # A batch may hold a molecule more than once.
    names = list(dict.fromkeys(molecule.id for molecule in molecules))
    return f"{'molecule' if len(names) == 1 else f'{len(names)} molecules'} {_some(names)}"


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
