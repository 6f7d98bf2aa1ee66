"""Which models may share a law: those that differ in nothing but their size."""

import json
from collections.abc import Sequence
from typing import Any

from unimol2_model.config import SIZES
from unimol2_tasks.artifacts.store import LocalArtifact
from unimol2_tasks.errors import UserError
from unimol2_tasks.params import PretrainParams
from unimol2_tasks.training.continuation import MOVES_WORK, WITHOUT_EFFECT
from unimol2_tasks.training.network import CONFIG

_MAY_DIFFER = WITHOUT_EFFECT | MOVES_WORK | {"seed", "validate_every"}
"""Parameters of pretraining that set neither the loss that is expected after so many steps nor how it is
measured: only where it is computed, which draw it is, and how often it is looked at."""


def refuse_repeats(models: Sequence[LocalArtifact]) -> None:
    """Refuse a model that is there twice, under whatever addresses.

    Raises:
        UserError: Its losses would count twice, or be predicted from themselves.
    """
    known: dict[str, str] = {}
    for model in models:
        first = known.get(model.manifest.digest)
        if first is not None:
            again = "" if first == model.uri else f", as {first} too"
            raise UserError(
                f"scaling: {model.uri} is given twice{again}; a model is either fitted or held out"
            )
        known[model.manifest.digest] = model.uri


def refuse_unlike(models: Sequence[LocalArtifact]) -> None:
    """Refuse models that differ in more than their size: the law knows of nothing else.

    Raises:
        UserError: Two were pretrained on different data, from different weights, or with different parameters
            of training or of the network.
    """
    first, *others = models
    expected = _made_with(first)
    for other in others:
        found = _made_with(other)
        for key in expected | found:
            if found.get(key) != expected.get(key):
                raise UserError(
                    f"scaling: {first.uri} was pretrained with {key} {expected.get(key)}, but {other.uri} "
                    f"with {key} {found.get(key)}; give models that differ in their size only"
                )


def _made_with(model: LocalArtifact) -> dict[str, Any]:
    """What must be alike in all models; None where a model does not say."""
    manifest = model.manifest
    said = manifest.params.get("pretrain", {})
    # A release that did not know a parameter yet trained as its default says.
    pretrain = PretrainParams().model_dump(mode="json") | said if said else {}
    network = json.loads((model.path / CONFIG).read_text(encoding="utf-8"))
    return {
        "dataset": manifest.parents.get("dataset"),
        "starting weights": manifest.parents.get("model"),
        **{key: value for key, value in pretrain.items() if key not in _MAY_DIFFER},
        **{key: value for key, value in network.items() if key not in SIZES},
    }
