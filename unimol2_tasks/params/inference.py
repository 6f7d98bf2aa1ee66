"""Parameters of evaluation and prediction."""

from typing import Literal

from pydantic import Field

from unimol2_tasks.params.section import Section


class EvaluateParams(Section):
    """Metrics, baselines and the report."""

    seed: int = Field(0, ge=0, description="Seeds bootstrap and random forest.")
    split: Literal["train", "valid", "test"] = Field("test", description="The part that is judged.")
    bootstrap: int = Field(200, ge=0, description="Resamples for 95 % intervals; 0: none.")
    worst: int = Field(6, ge=0, description="Worst predictions drawn in the report.")


class PredictParams(Section):
    """Prediction and embedding of any table."""

    batch_size: int = Field(128, ge=1, description="Molecules per forward pass, at most.")
    threads: int | None = Field(None, ge=1, description="CPU threads; none: all cores.")
