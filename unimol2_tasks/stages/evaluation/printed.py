"""What others published about a target."""

from unimol2_tasks.errors import UserError
from unimol2_tasks.evaluation.contents import ScoreRow
from unimol2_tasks.evaluation.published import PublishedScore, published, published_tables
from unimol2_tasks.stages.evaluation.units import bare_name
from unimol2_tasks.training.targets import Target


def check_benchmark(benchmark: str | None) -> None:
    """Refuse a benchmark that nothing is known of.

    Raises:
        UserError: There is no such benchmark.
    """
    known = sorted({table.benchmark for table in published_tables()})
    if benchmark not in (None, *known):
        raise UserError(f"evaluate.published: {benchmark}: no such benchmark; known are {', '.join(known)}")


def published_rows(benchmark: str | None, target: Target, unit: str) -> list[ScoreRow]:
    """The published scores of a target, in the order of the paper; empty where there are none.

    Args:
        benchmark: Where they are from; None: nobody asked.
        target: Whose column is looked for, with or without the unit in the names of labels.
        unit: The unit of our own scores; a published score in another one says so.
    """
    if benchmark is None:
        return []
    names = _names(target.name)
    return [
        ScoreRow(
            score.method,
            {score.metric: score.value},
            role="published",
            note=_note(score, unit),
        )
        for score in published(benchmark)
        if any(names & _names(label) for label in score.labels)
    ]


def _names(label: str) -> set[str]:
    return {label.lower(), bare_name(label).lower()}


def _note(score: PublishedScore, ours: str) -> str:
    notes = [f"mean of {', '.join(score.labels)}"] if len(score.labels) > 1 else []
    if score.condition:
        notes.append(score.condition)
    if score.unit.lower() != ours.lower():
        notes.append(f"in {score.unit}")
    return ", ".join(notes)
