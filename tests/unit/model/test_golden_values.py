"""The released code's numbers, reproduced."""

from dataclasses import replace

import pytest
import torch
from released_values import Golden

from unimol2_model import MoleculeBatch, UniMol2ForPretraining, load_weights, read_config
from unimol2_model.released import to_released


def _close(actual: torch.Tensor, expected: torch.Tensor, relative: float = 1e-5) -> None:
    assert (actual - expected).abs().max() <= relative * expected.abs().max()


@pytest.mark.parametrize("k", range(6))
def test_outputs_of_one_molecule_equal_the_released_ones(golden: Golden, k: int) -> None:
    out = golden.model()(MoleculeBatch.collate([golden.molecules()[k]]))

    def expected(name: str) -> torch.Tensor:
        return golden.io[f"mol{k}.out.{name}"]

    _close(out.atoms[0], expected("atom_repr"))
    _close(out.pairs[0].mean(dim=-1), expected("pair_repr_mean"))
    _close(out.atom_logits, expected("masked_logits"))
    _close(out.positions[0], expected("coord"))
    _close(torch.cdist(out.positions[0].double(), out.positions[0].double()).float(), expected("dist"))


@pytest.mark.parametrize("together", [False, True], ids=["alone", "in one batch"])
def test_losses_per_molecule_equal_the_released_ones(golden: Golden, together: bool) -> None:
    model, molecules = golden.model(), golden.molecules()
    batches = [molecules] if together else [[molecule] for molecule in molecules]
    losses = [model.loss(MoleculeBatch.collate(batch)) for batch in batches]
    for ours, theirs in (
        ("atom_type_per_molecule", "token"),
        ("coordinate_per_molecule", "coord"),
        ("distance_per_molecule", "dist"),
    ):
        actual = torch.cat([getattr(loss, ours) for loss in losses])
        torch.testing.assert_close(
            actual, torch.tensor([row[theirs] for row in golden.facts["losses"]]), rtol=1e-5, atol=0
        )


@pytest.mark.parametrize("k", range(6))
def test_gradient_norm_equals_the_released_one(golden: Golden, k: int) -> None:
    model = golden.model()
    model.loss(MoleculeBatch.collate([golden.molecules()[k]])).total.backward()
    norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
    assert norm.item() == pytest.approx(golden.facts["losses"][k]["grad_norm"], rel=1e-4)


def test_gradient_norm_of_every_parameter_equals_the_released_one(golden: Golden) -> None:
    model = golden.model()
    model.loss(MoleculeBatch.collate([golden.molecules()[0]])).total.backward()
    gradients = to_released({name: p.grad for name, p in model.named_parameters()}, model.config)
    # A shift of all attention logits changes nothing: the gradients of those biases are rounding errors.
    for name, expected in golden.facts["grad_norms_mol0"].items():
        assert gradients[name].norm().item() == pytest.approx(expected, rel=1e-4, abs=1e-7), name


def test_padded_rule_reproduces_the_released_batch(golden: Golden) -> None:
    config = replace(read_config(golden.checkpoint), length_rule="padded")
    model = UniMol2ForPretraining(config).eval()
    load_weights(model, golden.safetensors)
    batch = MoleculeBatch.collate(golden.molecules())
    atoms = model(batch).atoms
    assert atoms.shape[1] == golden.facts["batch_padded_length"]
    for k, n in enumerate(golden.facts["n_atoms"]):
        _close(atoms[k, : n + 1], golden.io[f"mol{k}.out_in_batch.atom_repr"])
