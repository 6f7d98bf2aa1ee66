"""The public data sets and the benchmarks, as their files describe them."""

from docs.site.markdown import code, prose, table
from unimol2_tasks.datasets.benchmarks import Benchmark, MoleculeTable, benchmarks
from unimol2_tasks.datasets.catalogue import PublicDataset, catalogue


def datasets_page() -> str:
    """The page about what `unimol2 data get` knows."""
    rows = [
        (f"[{one.name}](#{one.name})", f"{one.rows:,}", prose(one.title), prose(one.licence))
        for one in catalogue()
    ]
    return (
        "# Catalogue of data sets\n\n"
        "What `unimol2 data get NAME` downloads and verifies; how: [public data sets](../datasets.md).\n\n"
        + table(("name", "rows", "what it is", "licence"), rows)
        + "".join(_dataset(one) for one in catalogue())
    )


def benchmarks_page() -> str:
    """The page about what `unimol2 benchmark` knows."""
    return (
        "# Catalogue of benchmarks\n\n"
        "What `unimol2 benchmark NAME` prepares, trains and judges; how: [benchmarks](../benchmarks.md).\n"
    ) + "".join(_benchmark(one) for one in benchmarks())


def _dataset(one: PublicDataset) -> str:
    files = [one.table, *one.extras]
    facts = [
        ("source", prose(one.source) + (f", {prose(one.version)}" if one.version else "")),
        ("cite", f"[{one.doi}](https://doi.org/{one.doi})"),
        ("columns", ", ".join(code(name) for name in (one.smiles_column, one.id_column) if name)),
        ("usual split", f"{code(one.split)}: {prose(one.split_source)}"),
        ("files", ", ".join(f"{code(file.filename)} ({file.size:,} bytes)" for file in files)),
    ]
    targets = [(code(target.name), prose(target.unit), target.task) for target in one.targets]
    return (
        f"\n## {one.name} {{#{one.name}}}\n\n{prose(one.title)}; {one.rows:,} rows; {prose(one.licence)}.\n\n"
        + table(("", ""), [(name, value) for name, value in facts if value])
        + (f"\n{table(('target', 'unit', 'kind'), targets)}" if targets else "\nFor pretraining only.\n")
    )


def _benchmark(one: Benchmark) -> str:
    rows = [
        (
            code(task.name),
            code(one.tables[task.table].dataset),
            _preparation(one.tables[task.table]),
            code(task.metric),
            "; ".join(_column(name, labels, one.unit(task, name)) for name, labels in task.columns.items()),
        )
        for task in one.tasks
    ]
    note = f"\n\nNote: {prose(one.note)}." if one.note else ""
    return f"\n## {one.name} {{#{one.name}}}\n\n{prose(one.title)}.{note}\n\n" + table(
        ("task", "data set", "prepared with", "metric", "columns of the result"), rows
    )


def _preparation(molecules: MoleculeTable) -> str:
    keys = [code(f"{key}={value}") for key, value in molecules.prepare.items()]
    if molecules.lists is not None:
        keys.append(f"lists {code(molecules.lists.train)}, {code(molecules.lists.test)}")
    return ", ".join(keys)


def _column(name: str, labels: tuple[str, ...], unit: str) -> str:
    made_of = "" if labels == (name,) else f" of {', '.join(code(label) for label in labels)}"
    return f"{prose(name)}{made_of}" + (f" ({prose(unit)})" if unit else "")
