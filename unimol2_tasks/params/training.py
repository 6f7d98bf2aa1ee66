"""Parameters of the network, of training and of pretraining."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from unimol2_tasks.params.section import Section

AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]
"""Seen from where the parameters are read: ranks run in another folder, or on another machine."""


class ModelParams(Section):
    """The network: a preset, or a preset with some dimensions changed."""

    preset: Literal["tiny", "42M", "84M", "164M", "310M", "570M", "1.1B"] = Field(
        "tiny", description="A size of the paper, or tiny for a laptop."
    )
    blocks: int | None = Field(None, ge=1, description="Transformer blocks.")
    atom_dim: int | None = Field(None, ge=16, description="Width of the atom track.")
    heads: int | None = Field(
        None, ge=1, description="Attention heads; atom_dim / heads is the head's width."
    )
    ffn_dim: int | None = Field(None, ge=1, description="Hidden width of the atom feed-forward.")
    pair_dim: int | None = Field(None, ge=1, description="Width of the pair track.")
    pair_hidden_dim: int | None = Field(None, ge=1, description="Hidden width of the pair updates.")
    dropout: float | None = Field(None, ge=0, lt=1, description="Residual dropout.")
    attention_dropout: float | None = Field(None, ge=0, lt=1, description="Dropout of attention weights.")
    pair_dropout: float | None = Field(None, ge=0, lt=1, description="Row dropout of the pair track.")
    length_rule: Literal["own", "padded"] | None = Field(
        None, description="own: independent of the batch; padded: as the released code."
    )
    initialisation: Literal["layerwise", "released"] | None = Field(None, description="How weights start.")

    def overrides(self) -> dict[str, Any]:
        """The dimensions that differ from the preset."""
        return self.model_dump(exclude={"preset"}, exclude_none=True)


class TrainingParams(Section):
    """What pretraining and fine-tuning have in common. Adam's values are the paper's."""

    seed: int = Field(0, ge=0, description="Seeds weights, order, corruption and dropout.")
    batch_size: int = Field(1024, ge=1, description="Molecules per optimiser step, over all ranks.")
    micro_batch_size: int | None = Field(
        None, ge=1, description="Molecules per forward pass and rank; none: the whole share of a rank."
    )
    learning_rate: float = Field(1e-4, gt=0, description="Peak learning rate.")
    betas: tuple[float, float] = Field((0.9, 0.99), description="Adam's moment decay rates.")
    eps: float = Field(1e-6, gt=0, description="Adam's epsilon.")
    weight_decay: float = Field(1e-4, ge=0, description="Decoupled weight decay.")
    clip: float = Field(1.0, ge=0, description="Gradient norm at which gradients are clipped; 0: never.")
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="Number format of training.")
    zero_stage: Literal[0, 1, 2, 3] = Field(0, description="DeepSpeed ZeRO stage.")
    offload_optimizer: bool = Field(
        False, description="Keep Adam's state in the CPU's memory (needs a GPU and ZeRO 1 to 3)."
    )
    checkpoint_activations: bool = Field(
        False, description="Run each block again in the backward pass instead of keeping its activations."
    )
    compile: bool = Field(False, description="Compile the blocks with torch.compile.")
    ema_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Publish, and validate, a moving average of the weights that keeps this share per step; "
        "none: the weights themselves.",
    )
    max_skipped_steps: int = Field(
        10,
        ge=0,
        description="Skipped steps in a row (their gradient was not finite) after which training stops.",
    )
    ranks: int = Field(1, ge=1, description="Training processes, over all nodes (one per GPU).")
    threads: int | None = Field(None, ge=1, description="CPU threads per rank; none: cores / ranks.")
    loader_workers: int = Field(
        0, ge=0, description="Processes per rank that make batches ahead; 0: each when it is needed."
    )
    log_every: int = Field(10, ge=1, description="Steps between points of the training curve.")
    checkpoint_every: int = Field(1000, ge=1, description="Steps between checkpoints.")
    keep_checkpoints: int = Field(
        3, ge=1, description="How many of the newest checkpoints stay, besides the best one."
    )
    tensorboard: AbsolutePath | None = Field(
        None, description="Folder for TensorBoard's files, one folder in it per run; none: not written."
    )
    peak_tflops: float | None = Field(
        None,
        gt=0,
        description="What one device can do at this precision, for the share of it in the log; "
        "none: known for common GPUs.",
    )
    deepspeed: dict[str, Any] = Field(
        default_factory=dict, description="Merged into the generated DeepSpeed configuration."
    )

    @model_validator(mode="after")
    def _batches_divide(self) -> Self:
        if self.batch_size % self.ranks:
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of ranks {self.ranks}")
        share = self.batch_size // self.ranks
        if self.micro_batch_size and share % self.micro_batch_size:
            raise ValueError(
                f"batch_size / ranks = {share} is not a multiple of micro_batch_size {self.micro_batch_size}"
            )
        return self

    @property
    def micro_batch(self) -> int:
        """Molecules per forward pass of one rank."""
        return self.micro_batch_size or self.batch_size // self.ranks

    @property
    def accumulation(self) -> int:
        """Forward passes per optimiser step."""
        return self.batch_size // self.ranks // self.micro_batch


class PretrainParams(TrainingParams):
    """Masked-atom prediction and coordinate denoising (Uni-Mol2, section 3.3)."""

    steps: int = Field(10_000, ge=1, description="Optimiser steps.")
    warmup_steps: int = Field(1000, ge=0, description="Steps of linear warm-up (the paper: 100,000).")
    validate_every: int = Field(1000, ge=1, description="Steps between validations.")
    validation_molecules: int = Field(2048, ge=1, description="Size of the fixed validation set.")
    mask_probability: float = Field(0.15, gt=0, lt=1, description="Share of atoms whose element is hidden.")
    noise: Literal["gaussian", "uniform"] = Field(
        "gaussian",
        description="gaussian: on all atoms (paper); uniform: on the masked share (released code).",
    )
    noise_scale: float = Field(0.2, ge=0, description="Å: std of gaussian, half-width of uniform noise.")
    conformer: Literal["random", "lowest"] = Field(
        "random", description="Which stored conformer a visit sees; lowest: always that of lowest energy."
    )
    feature_drop: float = Field(0.5, ge=0, le=1, description="Probability of hiding all graph features.")
    flat_probability: float = Field(
        0.5, ge=0, le=1, description="Probability of 2D coordinates where features are kept (released code)."
    )
    scaffold_temperature: float | None = Field(
        None,
        gt=0,
        description="Draw molecules by softmax(scaffold's share / this); the paper: 0.005; "
        "none: each once per epoch.",
    )
    atom_weight: float = Field(1.0, ge=0, description="Weight of the masked-atom loss.")
    coordinate_weight: float = Field(1.0, ge=0, description="Weight of the coordinate loss.")
    distance_weight: float = Field(1.0, ge=0, description="Weight of the pair distance loss.")
