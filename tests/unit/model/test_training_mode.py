"""Low precision, dropout and activation checkpointing."""

import pytest
import torch
from small_networks import random_model, random_molecule

from unimol2_model import ModelConfig, MoleculeBatch, UniMol2ForPretraining, UniMol2ForProperties
from unimol2_model.backbone import RowResidual


def _batch() -> MoleculeBatch:
    return MoleculeBatch.collate([random_molecule(n, seed=n) for n in (9, 1, 5)], buckets=[16])


def _gradients_are_finite(model: torch.nn.Module) -> bool:
    return all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())


def test_bf16_parameters_stay_finite_and_near_fp32() -> None:
    model, batch = random_model(), _batch()
    expected = model.loss(batch).total.item()
    loss = model.to(torch.bfloat16).loss(batch)
    loss.total.backward()
    assert loss.total.dtype == torch.float32
    assert loss.total.item() == pytest.approx(expected, rel=0.05)
    assert _gradients_are_finite(model)


def test_input_positions_are_not_rounded_to_bf16() -> None:
    model, batch = random_model().to(torch.bfloat16), _batch()
    with torch.no_grad():
        for parameter in model.position_head.parameters():
            parameter.zero_()
        assert torch.equal(model(batch).positions, batch.positions)


def test_autocast_stays_finite() -> None:
    model, batch = random_model().train(), _batch()
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.loss(batch).total
    loss.backward()
    assert loss.isfinite()
    assert _gradients_are_finite(model)


@pytest.mark.parametrize("initialisation", ["layerwise", "released"])
def test_a_fresh_model_learns_its_batch(initialisation: str) -> None:
    torch.manual_seed(0)
    config = ModelConfig.from_dict(ModelConfig.preset("tiny").to_dict() | {"initialisation": initialisation})
    model, batch = UniMol2ForPretraining(config), _batch()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    first = model.eval().loss(batch).total.item()
    model.train()
    for _ in range(30):
        optimizer.zero_grad()
        model.loss(batch).total.backward()
        optimizer.step()
    assert model.eval().loss(batch).total.item() < 0.7 * first


def test_every_parameter_gets_a_gradient() -> None:
    model = random_model()
    model.loss(_batch()).total.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_checkpointed_activations_change_no_gradient() -> None:
    gradients = []
    for checkpointed in (False, True):
        model = random_model().train()
        model.backbone.checkpoint_activations = checkpointed
        torch.manual_seed(7)
        model.loss(_batch()).total.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert torch.equal(*gradients)


def test_inference_mode_changes_no_bit() -> None:
    model, batch = random_model(), _batch()
    with torch.no_grad():
        expected = model(batch)
    with torch.inference_mode():
        actual = model(batch)
        assert torch.equal(actual.atoms[:, 0], model.backbone.embed(batch))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(actual, expected, strict=True))


def test_dropout_acts_in_training_only() -> None:
    model, batch = random_model(), _batch()
    assert torch.equal(model(batch).atoms, model(batch).atoms)
    model.train()
    assert not torch.equal(model(batch).atoms, model(batch).atoms)


def test_row_dropout_drops_a_channel_of_an_end_for_all_partners() -> None:
    torch.manual_seed(0)
    pairs = torch.ones(4, 6, 6, 50)
    dropped = RowResidual(0.25).train()(torch.zeros_like(pairs), pairs)
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.05)
    assert dropped.max().item() == pytest.approx(1 / 0.75)


def test_property_model_predicts_one_row_per_molecule() -> None:
    model = UniMol2ForProperties(random_model().config, outputs=3, head_dropout=0.1).eval()
    batch = _batch()
    assert model(batch).shape == (3, 3)
    torch.testing.assert_close(model.embed(batch), model.backbone(batch).atoms[:, 0])


def test_property_model_carries_no_pretraining_head() -> None:
    model = UniMol2ForProperties(random_model().config, outputs=1)
    assert {name.split(".")[0] for name in model.state_dict()} == {"backbone", "head"}


@pytest.mark.parametrize(
    ("settings", "field"),
    [({"outputs": 0}, "outputs"), ({"outputs": 1, "head_dropout": 1.0}, "head_dropout")],
)
def test_property_model_refuses_the_impossible(settings: dict[str, float], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        UniMol2ForProperties(random_model().config, **settings)
