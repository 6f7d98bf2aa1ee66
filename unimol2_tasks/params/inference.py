"""Parameters of evaluation and prediction."""

from typing import Literal

from pydantic import Field

from unimol2_tasks.params.section import Section

Baseline = Literal["fingerprint", "descriptors"]


class EvaluateParams(Section):
    """Metrics, baselines and the report."""

    seed: int = Field(0, ge=0, description="Seeds bootstrap and baselines.")
    split: Literal["train", "valid", "test"] = Field("test", description="The part that is judged.")
    baselines: tuple[Baseline, ...] = Field(
        ("fingerprint", "descriptors"),
        description="What is fitted beside the mean. fingerprint: a linear model and a random forest; "
        "descriptors: gradient boosting, 10 ms per molecule.",
    )
    published: str | None = Field(
        None, description="Benchmark whose published numbers are shown, such as qm9; none: none."
    )
    units: dict[str, str] = Field({}, description="Unit of a label, by name; else as gap_eV or gap (eV) say.")
    bootstrap: int = Field(200, ge=0, description="Resamples for 95 % intervals; 0: none.")
    worst: int = Field(6, ge=0, description="Worst predictions of every label drawn in the report.")


class PredictParams(Section):
    """Prediction and embedding of any table."""

    batch_size: int = Field(128, ge=1, description="Molecules per forward pass, at most.")
    threads: int | None = Field(None, ge=1, description="CPU threads; none: all cores.")
    unit_rows: int = Field(2048, ge=1, description="Input rows per unit of work: what a restart may redo.")
    coverage: float = Field(
        0.9, gt=0, lt=1, description="Share of true values that the intervals are to hold."
    )
