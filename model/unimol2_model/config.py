"""The shape of a Uni-Mol2 network and the settings that change its numbers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

LengthRule = Literal["own", "padded"]
Initialisation = Literal["layerwise", "released"]

SIZES = ("blocks", "atom_dim", "heads", "ffn_dim", "pair_dim", "pair_hidden_dim")
_PROBABILITIES = ("dropout", "attention_dropout", "pair_dropout", "activation_dropout")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The architecture; defaults are the released ones, save for `length_rule` and `initialisation`.

    Raises:
        ValueError: a field is impossible, alone or together with another; the message begins with its name.
    """

    blocks: int
    """Number of two-track blocks."""
    atom_dim: int
    """Width D of the atom track."""
    heads: int
    """Attention heads; the released sizes have D / 16 of them."""
    ffn_dim: int
    """Hidden width F of the atom track's feed-forward layer."""
    pair_dim: int
    """Width P of the pair track."""
    pair_hidden_dim: int
    """Hidden width h of the outer product and the triangle multiplication."""
    length_rule: LengthRule = "own"
    """What N is in the pair update: the molecule's own atoms + 1, or the batch's padded length.

    "padded" is how the released weights were trained; with it a molecule's result depends on its batch.
    """
    dropout: float = 0.1
    """On every residual branch but the triangle multiplication."""
    attention_dropout: float = 0.1
    """On attention weights, the position head's included."""
    pair_dropout: float = 0.25
    """On whole rows of the triangle multiplication's result."""
    activation_dropout: float = 0.0
    """After the GELU of the feed-forward layers."""
    initialisation: Initialisation = "layerwise"
    """Per layer, or N(0, 0.02) for every linear and embedding layer as the released constructor ends with."""

    def __post_init__(self) -> None:
        for name in SIZES:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name}: expected a whole number of at least 1, got {value!r}")
        for name in _PROBABILITIES:
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1:
                raise ValueError(f"{name}: expected a probability in [0, 1), got {value!r}")
        _check_choice("length_rule", self.length_rule, get_args(LengthRule))
        _check_choice("initialisation", self.initialisation, get_args(Initialisation))
        if self.atom_dim % self.heads:
            raise ValueError(f"heads: {self.heads} heads do not divide atom_dim={self.atom_dim}")

    @classmethod
    def preset(cls, name: str) -> Self:
        """Return one of the published sizes, or "tiny", which trains in seconds on a CPU.

        Args:
            name: 42M, 84M, 164M, 310M, 570M, 1.1B (Uni-Mol2, table 1) or tiny.

        Raises:
            ValueError: there is no such size.
        """
        if name not in _PRESETS:
            raise ValueError(f"unknown model size {name!r}; choose one of {', '.join(_PRESETS)}")
        blocks, atom_dim, heads, pair_dim, pair_hidden_dim = _PRESETS[name]
        return cls(
            blocks=blocks,
            atom_dim=atom_dim,
            heads=heads,
            ffn_dim=atom_dim,
            pair_dim=pair_dim,
            pair_hidden_dim=pair_hidden_dim,
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build a configuration from plain values, as read from JSON.

        Raises:
            ValueError: a key is unknown, a required one is missing, or a value is impossible.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ValueError(f"unknown model setting {', '.join(unknown)}; known are {', '.join(known)}")
        missing = [name for name in SIZES if name not in values]
        if missing:
            raise ValueError(f"model setting missing: {', '.join(missing)}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return every field as a plain value that JSON can hold."""
        return asdict(self)


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: expected {' or '.join(map(repr, choices))}, got {value!r}")


# blocks, atom_dim = ffn_dim, heads, pair_dim, pair_hidden_dim
_PRESETS = {
    "42M": (6, 768, 48, 512, 64),
    "84M": (12, 768, 48, 512, 64),
    "164M": (24, 768, 48, 512, 64),
    "310M": (32, 1024, 64, 512, 64),
    "570M": (32, 1536, 96, 512, 64),
    "1.1B": (64, 1536, 96, 512, 64),
    "tiny": (4, 96, 6, 48, 16),
}
