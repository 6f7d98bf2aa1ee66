"""Tables of molecules in every format that the field uses, local or on S3, read as a stream."""

from unimol2_tasks.datasets.readers.listing import table_digest, table_files
from unimol2_tasks.datasets.readers.table import Table, read_table

__all__ = ["Table", "read_table", "table_digest", "table_files"]
