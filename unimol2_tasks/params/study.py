"""Parameters of a scaling study."""

from typing import Literal

from pydantic import Field

from unimol2_tasks.params.section import Section
from unimol2_tasks.params.training import ModelParams

Counted = Literal["all", "blocks"]
"""Which parameters of a network are its size."""


class StudyParams(Section):
    """A ladder of networks that are pretrained alike; `pretrain` says how, and for how long."""

    sizes: tuple[ModelParams, ...] = Field((), description="The networks, in any order.")
    held_out: int = Field(
        1, ge=1, description="How many of the largest are predicted, and have no part in the fit."
    )
    counted: Counted = Field(
        "all",
        description="What M of the law counts. all: every parameter (the paper); blocks: without embeddings "
        "and heads, which grow more slowly and are most of a network below 0.2 million.",
    )
    skip_steps: int = Field(
        0, ge=0, description="Steps at the start of each curve that do not count (the paper: 200,000)."
    )
    test_from_step: int | None = Field(
        None,
        ge=0,
        description="Predictions are judged on the curves after this step (the paper: 710,000 of 810,000); "
        "none: on the last eighth.",
    )
    seed: int = Field(0, ge=0, description="Seeds the starts of the fit and its resampling.")
    starts: int = Field(16, ge=1, description="Starts of the fit.")
    bootstrap: int = Field(200, ge=0, description="Resamples for 95 % intervals; 0: none.")
