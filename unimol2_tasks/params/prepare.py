"""Parameters of preparation."""

from typing import Literal, Self

from pydantic import Field, model_validator

from unimol2_tasks.params.section import Section

SplitKind = Literal["random", "scaffold", "scaffold-similarity", "butina", "stratified", "column", "file"]


SPLIT_SETTINGS = frozenset(
    {
        "split", "split_column", "split_file", "split_label", "split_similarity", "folds",
        "valid_fraction", "test_fraction", "shard_rows",
    }
)  # fmt: skip
"""What plays a part only once every molecule is ready: a table's, and no molecule's."""


class PrepareParams(Section):
    """From a table of molecules to a dataset."""

    seed: int = Field(0, ge=0, description="Seeds conformers and splits.")
    standardise: Literal["none", "clean", "parent"] = Field(
        "clean",
        description="none: as given; clean: RDKit clean-up; parent: largest fragment, neutralised.",
    )
    tautomer: bool = Field(False, description="Bring every molecule into RDKit's canonical tautomer.")
    remove_isotopes: bool = Field(False, description="Forget isotope labels.")
    remove_stereo: bool = Field(False, description="Forget stereochemistry.")
    coordinates: Literal["generate", "keep", "keep-else-generate"] = Field(
        "generate", description="keep: those of the SDF or LMDB file; molecules without are rejected."
    )
    conformers: int = Field(10, ge=1, le=100, description="3D conformers per molecule (the paper: 10).")
    prune_rmsd: float = Field(
        0.1,
        ge=0,
        description="Å: of relaxed conformers closer than this the one of lower energy stays; 0: all.",
    )
    conformer_timeout: float = Field(60.0, gt=0, description="Seconds after which one molecule is given up.")
    max_atoms: int = Field(256, ge=1, le=1024, description="Heavy atoms above which a molecule is rejected.")
    duplicates: Literal["inchikey", "skeleton"] = Field(
        "inchikey", description="skeleton: also stereoisomers and isotopes (InChIKey's first block) are one."
    )
    duplicate_labels: Literal["mean", "median", "first", "drop-conflicting"] = Field(
        "mean", description="What merged duplicates keep; drop-conflicting rejects them all."
    )
    label_tolerance: float = Field(
        0.0, ge=0, description="Labels of duplicates conflict where they differ by more."
    )
    split: SplitKind = Field("scaffold", description="How train, valid and test are separated.")
    split_column: str | None = Field(None, description="For split=column: holds train, valid or test.")
    split_file: str | None = Field(None, description="For split=file: CSV of id and split.")
    split_label: str | None = Field(
        None, description="For split=stratified: by whose quantiles; none: the only one."
    )
    split_similarity: float = Field(
        0.4,
        gt=0,
        lt=1,
        description="Tanimoto similarity from which molecules or scaffolds are kept together.",
    )
    folds: int | None = Field(
        None, ge=3, le=100, description="Cross-validation folds; the first tests, the second validates."
    )
    valid_fraction: float = Field(0.1, ge=0, lt=1, description="Share of molecules for validation.")
    test_fraction: float = Field(0.1, ge=0, lt=1, description="Share of molecules for the final test.")
    shard_rows: int = Field(50_000, ge=1, description="Molecules per Parquet shard.")
    unit_rows: int = Field(2048, ge=1, description="Input rows per unit of work: what a restart may redo.")
    workers: int | None = Field(None, ge=1, description="Processes; none: one per available core.")

    @model_validator(mode="after")
    def _leave_something_to_train_on(self) -> Self:
        if self.valid_fraction + self.test_fraction >= 1:
            raise ValueError("valid_fraction + test_fraction must be below 1")
        return self

    @model_validator(mode="after")
    def _say_where_splits_come_from(self) -> Self:
        for kind, key in (("column", "split_column"), ("file", "split_file")):
            if (self.split == kind) != (getattr(self, key) is not None):
                raise ValueError(f"split={kind} and {key} belong together; give both or neither")
        if self.folds is not None and self.split in ("column", "file"):
            raise ValueError(f"folds are for splits that are made here; with split={self.split} leave it out")
        return self
