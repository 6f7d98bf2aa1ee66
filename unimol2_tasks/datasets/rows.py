"""One row of a table of molecules, as it was read."""

from dataclasses import dataclass

from unimol2_tasks.chemistry.structure import Structure


@dataclass(frozen=True, slots=True, eq=False)
class InputRow:
    """One row that could be read; whether it is a molecule is not known yet."""

    row: int
    """From 1, not counting headers and empty lines; runs on through the files of a folder."""
    id: str
    """The row's name, else its number."""
    structure: Structure
    labels: tuple[float | None, ...] = ()
    split: str | None = None
    """What the column of splits says."""

    @property
    def text(self) -> str:
        """What the reject ledger shows of it: SMILES, or the name where there is none."""
        return self.structure.smiles or self.id
