"""Parameters of fine-tuning."""

from typing import Literal, Self

from pydantic import Field, model_validator

from unimol2_tasks.params.training import TrainingParams

TaskKind = Literal["auto", "regression", "binary", "multiclass"]
Scaling = Literal["standard", "log", "none"]
BestBy = Literal["loss", "mae", "rmse", "roc_auc", "accuracy"]


class FinetuneParams(TrainingParams):
    """Property prediction on a labelled dataset."""

    batch_size: int = Field(32, ge=1, description="Molecules per optimiser step, over all ranks.")
    epochs: int = Field(60, ge=1, description="Passes over the training split.")
    warmup_ratio: float = Field(0.06, ge=0, lt=1, description="Share of the steps that warm up.")

    targets: tuple[str, ...] = Field((), description="Label columns to learn; empty: all.")
    task: TaskKind | dict[str, TaskKind] = Field(
        "auto",
        description="What a label is, for all or by label. auto: binary where it holds only 0 and 1, else "
        "regression; multiclass: classes 0, 1, 2, …, never guessed.",
    )
    scaling: Scaling | dict[str, Scaling] = Field(
        "standard",
        description="Scale on which a regression label is learnt, for all or by label; fitted on the "
        "training split. standard: mean 0, std 1; log: the same of the natural logarithm, of labels above 0; "
        "none: as it is.",
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced: a class counts in the loss in inverse proportion to its frequency."
    )
    regression_loss: Literal["smooth_l1", "l1", "mse"] = Field(
        "smooth_l1", description="smooth_l1 as released; on scaled targets."
    )
    classification_loss: Literal["cross_entropy", "focal"] = Field(
        "cross_entropy", description="focal: molecules whose class is known by now count little."
    )
    focal_gamma: float = Field(
        2.0, ge=0, description="Exponent of the focal loss; 0: cross-entropy (Lin et al., 2017: 2)."
    )

    features: bool = Field(
        True, description="Show atom, bond and shortest-path features; false: constants, as in pretraining."
    )
    drawing: bool | None = Field(
        None,
        description="Count the flat drawing as one more conformer, as the paper does. none: where "
        "molecules have several and conformers is above 1; a single geometry, often a measured or computed "
        "one, stays alone, because the drawing would be half of what is averaged.",
    )
    conformers: int = Field(
        11,
        ge=1,
        description="The most geometries per molecule that are learnt from and averaged, the drawing "
        "included (the paper: 11).",
    )

    head: Literal["released", "multitask"] = Field(
        "released", description="released: one hidden layer for all labels; multitask: one for each label."
    )
    head_dropout: float = Field(0.0, ge=0, lt=1, description="Dropout of the property head.")
    freeze_backbone: bool = Field(False, description="Train the head alone, on fixed embeddings.")
    unfreeze_epochs: int = Field(
        0,
        ge=0,
        description="Train the head alone for so many epochs, then one more stage of blocks from the top "
        "after as many again; 0: everything from the start.",
    )
    unfreeze_blocks: int = Field(
        1, ge=1, description="Blocks per stage of unfreezing; the embeddings come with the lowest."
    )
    layer_decay: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Factor on the learning rate from the head to the highest block, and from block to "
        "block down to the embeddings; 1: the same for all.",
    )

    validate_every_epochs: int = Field(1, ge=1, description="Epochs between validations.")
    best_by: BestBy = Field(
        "loss",
        description="Figure of the validation molecules by which the network is kept, patience counts and a "
        "search compares; of several labels the mean, errors in their own units: labels of different units "
        "are best compared by loss.",
    )
    patience: int = Field(0, ge=0, description="Validations without improvement before stopping; 0: never.")

    seeds: tuple[int, ...] = Field(
        (), description="Train one network per seed and join them as an ensemble; empty: one, with `seed`."
    )
    fold: int | None = Field(
        None,
        ge=0,
        description="Of prepare.folds the one that is kept for testing; the next one validates, the others "
        "train. none: the dataset's own train and valid.",
    )
    cross_validate: bool = Field(False, description="Train once per fold, each being the tested one once.")

    @model_validator(mode="after")
    def _seeds_differ(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds) or any(seed < 0 for seed in self.seeds):
            raise ValueError(f"seeds {list(self.seeds)}: expected different whole numbers from 0")
        return self

    @model_validator(mode="after")
    def _targets_differ(self) -> Self:
        twice = sorted({name for name in self.targets if self.targets.count(name) > 1})
        if twice:
            raise ValueError(f"targets: {', '.join(twice)} is there twice; name every label once")
        return self

    @model_validator(mode="after")
    def _more_than_the_drawing(self) -> Self:
        if self.drawing and self.conformers == 1:
            raise ValueError(
                "drawing: with conformers 1 nothing but the flat drawing would be seen; raise conformers or "
                "leave drawing out"
            )
        return self

    @model_validator(mode="after")
    def _one_choice_of_folds(self) -> Self:
        if self.cross_validate and self.fold is not None:
            raise ValueError("cross_validate tests every fold and fold a single one; give one of them")
        return self

    @model_validator(mode="after")
    def _frozen_or_unfrozen(self) -> Self:
        if self.freeze_backbone and (self.unfreeze_epochs or self.layer_decay < 1):
            raise ValueError(
                "freeze_backbone: nothing of the backbone is trained; leave out unfreeze_epochs and "
                "layer_decay"
            )
        if 0 < self.epochs <= self.unfreeze_epochs:
            raise ValueError(
                f"unfreeze_epochs {self.unfreeze_epochs} of {self.epochs} epochs: nothing would ever be "
                "unfrozen; for the head alone set freeze_backbone"
            )
        return self
