"""What the table of a benchmark is, kept beside it: rows of the source, rows taken, rows rejected."""

import json
from pathlib import Path

from unimol2_tasks.datasets.benchmark_tables import WrittenTable
from unimol2_tasks.errors import ArtifactError
from unimol2_tasks.stages.benchmarking.places import Places, read_if_there, replace_text


def write_facts(written: WrittenTable, subset: int | None, path: Path) -> None:
    """Write what `notes` says to a reader."""
    facts = {
        "source_rows": written.source_rows,
        "subset": subset,
        "rows": written.rows.model_dump(by_alias=True),
    }
    replace_text(path, json.dumps(facts, indent=1) + "\n")


def refuse_other_rows(name: str, subset: int | None, places: Places) -> None:
    """Keep a table that of its dataset: to be asked before the table is written anew.

    Raises:
        ArtifactError: The dataset was prepared from another choice of rows.
    """
    path = places.facts(name)
    if not path.is_file() or read_if_there(places.dataset(name)) is None:
        return
    facts = json.loads(path.read_text(encoding="utf-8"))
    total, before = facts["source_rows"], facts["subset"]
    if min(subset or total, total) != min(before or total, total):
        said = "without --subset" if before is None else f"with --subset {before}"
        raise ArtifactError(f"{places.folder}: was made {said}; say the same again, or choose another --out")
