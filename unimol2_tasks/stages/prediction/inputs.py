"""What is predicted, by what, and what the rows of the table are called."""

import logging
from dataclasses import dataclass

from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.datasets.columns import ColumnChoice
from unimol2_tasks.datasets.readers import Table, read_table
from unimol2_tasks.datasets.readers.formats import WITH_COORDINATES
from unimol2_tasks.errors import TableError
from unimol2_tasks.params import PrepareParams

_LOGGER = logging.getLogger(__name__)
MADE_INSTEAD = "or take a predictor or model whose conformers are made (prepare.coordinates=generate)"
"""What those can do who have no coordinates."""


@dataclass(frozen=True, slots=True)
class PredictInputs:
    """What predicts, and what is predicted."""

    artifact: str
    """A predictor; for `run_embed` also a pretrained model."""
    table: str
    """A file, folder or glob, local or `s3://…`; see `datasets.readers.read_table`."""
    smiles_column: str | None = None
    """None: guessed by its name."""
    id_column: str | None = None
    """None: guessed by its name; where none is clearly it, rows are called by their title or their number."""

    @property
    def columns(self) -> dict[str, str]:
        """The columns that somebody named: with others the same table gives another prediction."""
        named = {"smiles_column": self.smiles_column, "id_column": self.id_column}
        return {option: column for option, column in named.items() if column is not None}

    def read(self, store: Store) -> Table:
        """Open the table, and say which columns were taken.

        Raises:
            UserError: As `read_table`.
        """
        table = read_table(
            self.table, ColumnChoice(smiles=self.smiles_column, id=self.id_column, labels=()), store
        )
        # What was guessed has been said there.
        if self.id_column is not None:
            _LOGGER.info("%s: id column: %s", self.table, self.id_column)
        elif table.columns.id is None and table.format.has_columns:
            _LOGGER.info(
                "%s: id column: none is clearly it; rows are called by their title, else by their number "
                "(name one by --id-column)",
                self.table,
            )
        return table


def refuse_without_coordinates(table: Table, prepare: PrepareParams) -> None:
    """Refuse a table of which every row would be rejected.

    Raises:
        TableError: Given coordinates are to be kept, and the table can hold none.
    """
    if prepare.coordinates != "keep" or table.may_hold_coordinates:
        return
    if table.format.holds_coordinates:
        give = "leave out --smiles-column, which takes the place of the file's structures"
    else:
        give = f"give a table of structures in space ({WITH_COORDINATES})"
    raise TableError(
        f"{table.uri}: has no coordinates, and given ones are to be kept (prepare.coordinates=keep); {give}, "
        f"{MADE_INSTEAD}"
    )
