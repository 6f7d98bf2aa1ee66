"""The columns of a table of predictions, from what the members of a predictor say."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pandera.polars import DataFrameSchema

from unimol2_tasks.artifacts.prediction_schemas import (
    CLASS_PREFIX,
    LOWER_PREFIX,
    PREDICTIONS,
    SIMILARITY,
    STD_PREFIX,
    UPPER_PREFIX,
    column_types,
)
from unimol2_tasks.artifacts.schemas import PREDICTION_PREFIX
from unimol2_tasks.chemistry.applicability import TRAINING, TrainingSet
from unimol2_tasks.evaluation.uncertainty import absolute_errors, conformal_halfwidth, conformal_interval
from unimol2_tasks.training.network import MEMBERS, read_targets
from unimol2_tasks.training.predictor_files import VALIDATION, read_predictions
from unimol2_tasks.training.targets import Target, Targets

_LOGGER = logging.getLogger(__name__)
NOT_FINITE = "the network's output is not a finite number"
"""The reason of a row."""


@dataclass(frozen=True, slots=True)
class PredictionColumns:
    """What is written about every row."""

    targets: Targets
    members: int
    """Networks of the predictor; 1: no `std` columns."""
    halfwidths: dict[str, float]
    """Of the intervals of regression targets, in the label's unit or of its natural logarithm (see
    `conformal_interval`); NaN where too little is known."""
    training: TrainingSet

    @classmethod
    def of(cls, predictor: Path, coverage: float) -> "PredictionColumns":
        """Of a predictor's folder.

        Args:
            predictor: A verified local folder.
            coverage: The share of true values that the intervals are to hold, between 0 and 1.

        Raises:
            ArtifactError: It does not say what it was trained on.
        """
        targets = read_targets(predictor)
        members = sum(1 for _ in (predictor / MEMBERS).glob("*")) or 1
        training = TrainingSet.read(predictor / TRAINING)
        return cls(targets, members, _halfwidths(predictor, targets, coverage), training)

    @property
    def schema(self) -> DataFrameSchema:
        """Of the table."""
        return PREDICTIONS

    @property
    def types(self) -> dict[str, pl.DataType]:
        """Names and types of the columns, in order."""
        names = [PREDICTION_PREFIX + name for name in self.targets.columns]
        names += [CLASS_PREFIX + target.name for target in self._multiclass]
        if self.members > 1:
            names += [STD_PREFIX + name for name in self.targets.columns]
        for name in self.halfwidths:
            names += [LOWER_PREFIX + name, UPPER_PREFIX + name]
        return column_types(["row", "id", "smiles", *names, SIMILARITY, "reason"])

    def pieces(self, rows: pl.DataFrame, values: NDArray[np.float64] | None) -> Iterator[pl.DataFrame]:
        """The table of some rows.

        Args:
            rows: As `prepared_rows` describes them.
            values: `[n, M, C]` of those that are molecules; None: there is none.
        """
        molecules = rows.filter(pl.col("reason").is_null())
        if values is None:
            values = np.empty((0, self.members, len(self.targets.columns)))
        finite = pl.Series(np.isfinite(values).all(axis=(1, 2)), dtype=pl.Boolean)
        predicted = self._predicted(
            values[finite.to_numpy()], molecules.filter(finite)["canonical"].to_list()
        )
        predicted = predicted.with_columns(molecules.filter(finite)["row"])
        table = rows.join(predicted, on="row", how="left", maintain_order="left")
        wrong = pl.col("row").is_in(molecules.filter(~finite)["row"].implode())
        reason = pl.when(wrong).then(pl.lit(NOT_FINITE)).otherwise("reason")
        yield table.with_columns(reason=reason).select(
            pl.col(name).cast(kind) for name, kind in self.types.items()
        )

    @property
    def _multiclass(self) -> list[Target]:
        return [target for target in self.targets.targets if target.kind == "multiclass"]

    def _predicted(self, values: NDArray[np.float64], smiles: Sequence[str]) -> pl.DataFrame:
        means = values.mean(axis=1)
        columns: dict[str, NDArray[np.float64]] = {}
        classes = {}
        for k, name in enumerate(self.targets.columns):
            columns[PREDICTION_PREFIX + name] = means[:, k]
            if self.members > 1:
                columns[STD_PREFIX + name] = values[:, :, k].std(axis=1, ddof=1)
        for target in self._multiclass:
            own = means[:, self.targets.columns_of(target.name)]
            classes[CLASS_PREFIX + target.name] = own.argmax(axis=1)
        for target in self.targets.targets:
            name = target.name
            if name in self.halfwidths:
                columns[LOWER_PREFIX + name], columns[UPPER_PREFIX + name] = conformal_interval(
                    columns[PREDICTION_PREFIX + name], self.halfwidths[name], target.logarithmic
                )
        # In double precision 0.7 of single precision would be below 0.7.
        similarity = pl.Series(self.training.nearest(smiles)[0]).cast(pl.Float64).round(6)
        return pl.DataFrame({**columns, **classes, SIMILARITY: similarity}, nan_to_null=True)


def _halfwidths(predictor: Path, targets: Targets, coverage: float) -> dict[str, float]:
    """Of the intervals of regression targets, from the predictor's own errors on validation molecules."""
    path = predictor / VALIDATION
    _, labels, predictions = read_predictions(path, targets)
    found = {}
    for k, target in enumerate(targets.targets):
        if target.kind != "regression":
            continue
        column = targets.columns_of(target.name).start
        errors = absolute_errors(labels[:, k], predictions[:, column], target.logarithmic)
        halfwidth = conformal_halfwidth(errors, coverage)
        found[target.name] = halfwidth if np.isfinite(halfwidth) else np.nan
        if np.isfinite(halfwidth):
            continue
        _LOGGER.warning(
            "%s: no interval: %d validation molecules are too few to know one that holds %g %% of all values",
            target.name,
            int((~np.isnan(errors)).sum()),
            100 * coverage,
        )
    return found
