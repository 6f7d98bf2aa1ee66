"""How the leakage report of `chemistry.leakage` is told on a dataset's page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unimol2_tasks.datasets.statistics_figures import histogram_chart
from unimol2_tasks.evaluation.charts import Chart
from unimol2_tasks.evaluation.scoretable import number

_PARTS = ("test", "valid")


@dataclass(frozen=True, slots=True)
class LeakageSection:
    """A table with a column per part that was compared with train, and a chart per part."""

    parts: list[str]
    rows: list[tuple[str, list[str]]]
    """What is told, and its value for each of the parts."""
    charts: list[Chart]
    notes: list[str]


def leakage_section(report: Mapping[str, Any]) -> LeakageSection | None:
    """Say how close test and valid are to train; None where neither was compared."""
    compared = {part: report[part] for part in _PARTS if report.get(part)}
    if not compared:
        return None
    columns = [_column(part) for part in compared.values()]
    rows = [(name, [column[name] for column in columns]) for name in columns[0]]
    charts = [_chart(part, told["nearest_train_similarity"]) for part, told in compared.items()]
    return LeakageSection(list(compared), rows, charts, _notes(report, compared))


def _column(told: Mapping[str, Any]) -> dict[str, str]:
    nearest = told["nearest_train_similarity"]
    shares = nearest["share_at_least"].items()
    return {
        "molecules compared": f"{told['compared']:,} of {told['molecules']:,}",
        "training molecules compared": f"{told['train_compared']:,} of {told['train_molecules']:,}",
        "median similarity to the nearest": number(nearest["median"]),
        **{f"molecules with a similarity ≥ {limit}": f"{share:.1%}" for limit, share in shares},
        "scaffolds that train has too": f"{told['scaffolds_shared_with_train']:,} of {told['scaffolds']:,}",
        "molecules with such a scaffold": f"{told['molecules_with_shared_scaffold']:,}",
    }


def _chart(part: str, nearest: Mapping[str, Any]) -> Chart:
    return histogram_chart(
        f"Nearest training molecule: {part}",
        nearest["histogram"],
        "similarity to the nearest training molecule",
        "molecules",
    )


def _notes(report: Mapping[str, Any], compared: Mapping[str, Mapping[str, Any]]) -> list[str]:
    notes = [f"Similarity: {report['similarity']}."]
    if any(told["sampled"] for told in compared.values()):
        notes.append("Samples were compared: similarities to the whole of train can only be higher.")
    across = report["stereoisomers"]["skeletons_across_splits"]
    notes.append(
        f"Molecules that differ from one in another part only by stereochemistry or isotopes: {across:,}."
        if across
        else "No two parts share a molecule but for its stereochemistry or isotopes."
    )
    return notes
