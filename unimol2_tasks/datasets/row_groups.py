"""Rows cut anew: tables of any length go in, tables of the wanted length come out."""

from collections import deque

import pyarrow as pa

ROW_GROUP = 1000
"""Molecules per Parquet row group. The path lengths of as many molecules of 1024 atoms still fit into one
Arrow column of bytes, which holds less than 2 GiB."""


class RowBuffer:
    """A queue of rows. What is taken from it does not depend on how the rows were cut when they came.

    Attributes:
        rows: How many wait.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._tables: deque[pa.Table] = deque()

    def put(self, table: pa.Table) -> None:
        """Append a table's rows; all tables have one schema."""
        self.rows += table.num_rows
        self._tables.append(table)

    def take(self, rows: int) -> pa.Table:
        """Remove the first `rows` rows, of those that wait, as one table in one piece."""
        parts = []
        missing = rows
        while missing:
            first = self._tables.popleft()
            if first.num_rows > missing:
                self._tables.appendleft(first.slice(missing))
                first = first.slice(0, missing)
            parts.append(first)
            missing -= first.num_rows
        self.rows -= rows
        return pa.concat_tables(parts).combine_chunks()
