"""The tables of artifacts with their columns, as the schemas that check them describe them."""

from pathlib import Path
from types import ModuleType

import griffe
import pandera.polars as pa

from docs.site.markdown import code, prose, table
from unimol2_tasks.artifacts import prediction_schemas, schemas

_FILES = {
    "MOLECULES": "`molecules/part-*.parquet` of a dataset",
    "INDEX": "`index.parquet` of a dataset",
    "SCAFFOLDS": "`scaffolds.parquet` of a dataset",
    "SPLITS": "`splits.parquet` of a dataset",
    "REJECTS": "`rejects.csv` of a dataset",
    "TRIALS": "`trials.csv` of a search",
    "TRAINING_MOLECULES": "`training.parquet` of a predictor",
    "PREDICTIONS": "What `unimol2 predict` writes",
    "EMBEDDINGS": "What `unimol2 embed` writes",
    "ATOM_EMBEDDINGS": "What `unimol2 embed --atoms` writes",
}
"""Where the table of each schema lies; a new schema is refused until it is named here."""


def tables_page() -> str:
    """The page about files of artifacts: a chapter for each schema, and the manifest."""
    chapters = [
        _chapter(_FILES[name], about, schema)
        for module in (schemas, prediction_schemas)
        for name, about, schema in _schemas(module)
    ]
    return (
        "# Tables and columns\n\n"
        "Each is checked when it is written and when it is read. A column of a pattern, such as `label:…`, "
        "may be there several times.\n"
        + "".join(chapters)
        + "\n## `manifest.json` of every artifact {#manifest}\n\n"
        "::: unimol2_tasks.artifacts.manifest\n"
        "    options:\n      heading_level: 3\n      show_root_toc_entry: false\n"
        "      show_if_no_docstring: true\n      members: [Manifest, FileEntry, Rows, ArtifactRef]\n"
    )


def _schemas(module: ModuleType) -> list[tuple[str, str, pa.DataFrameSchema]]:
    """Name, docstring and schema of all schemas of a module, in their order there."""
    path = Path(str(module.__file__))
    members = griffe.visit(module.__name__, path, path.read_text(encoding="utf-8")).members
    return [
        (name, docstring.value if (docstring := members[name].docstring) else "", value)
        for name, value in vars(module).items()
        if isinstance(value, pa.DataFrameSchema) and not members[name].is_alias
    ]


def _chapter(title: str, about: str, schema: pa.DataFrameSchema) -> str:
    rows = [
        (
            code(_name(column)),
            code(str(column.dtype)),
            ", ".join(_facts(column)),
            prose(column.description or ""),
        )
        for column in schema.columns.values()
    ]
    return f"\n## {title}\n\n{prose(about)}\n\n" + table(("column", "type", "checked", "meaning"), rows)


def _name(column: pa.Column) -> str:
    name = str(column.name)
    if not column.regex:
        return name
    return name.removeprefix("^").removesuffix("$").replace(".+", "…").replace("\\d+", "0…")


def _facts(column: pa.Column) -> list[str]:
    facts = [_check(check) for check in column.checks]
    if column.unique:
        facts.append("unique")
    if column.nullable:
        facts.append("may be empty")
    if not column.required:
        facts.append("may be absent")
    return facts


def _check(check: pa.Check) -> str:
    """What a check asks for; one of this project's own is named by what it asks for."""
    values = check.statistics or {}
    match check.name:
        case "greater_than_or_equal_to":
            return f"≥ {values['min_value']}"
        case "equal_to":
            return f"= {values['value']}"
        case "in_range":
            return f"{values['min_value']} to {values['max_value']}"
        case "str_length":
            return f"at least {values['min_value']} character"
        case "str_matches":
            return code(getattr(values["pattern"], "pattern", values["pattern"]))
        case "isin":
            return ", ".join(code(str(value)) for value in values["allowed_values"])
        case name:
            return prose(str(name))
