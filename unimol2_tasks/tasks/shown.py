"""What a task run shows of the artifact that it made, as Prefect artifacts."""

from pathlib import Path

from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from unimol2_tasks.artifacts.s3 import is_s3
from unimol2_tasks.artifacts.store import LocalArtifact
from unimol2_tasks.summaries import data_card, metric_rows, reject_rows
from unimol2_tasks.tasks.curve_picture import curve_picture


def show_dataset(dataset: LocalArtifact) -> None:
    """The data card, the rejects by reason, and a link to the page of statistics."""
    create_markdown_artifact(data_card(dataset), key="unimol2-data-card", description=dataset.uri)
    rejects = reject_rows(dataset.path / "rejects.csv")
    if rejects:
        create_table_artifact(rejects, key="unimol2-rejects", description=f"{dataset.uri}/rejects.csv")
    show_page("unimol2-statistics", dataset, "statistics.html", "Statistics of the dataset")


def show_training(key: str, trained: LocalArtifact) -> None:
    """The metrics of a model or predictor, and its learning curve."""
    create_table_artifact(metric_rows(trained.path), key=key, description=trained.uri)
    picture = curve_picture(trained)
    if picture is not None:
        create_image_artifact(picture, key=f"{key}-curve", description=f"{trained.uri}/curve.csv")


def show_page(key: str, artifact: LocalArtifact, page: str, text: str) -> None:
    """A link to an HTML page of an artifact; a browser opens `file:` links only where they are typed."""
    address = f"{artifact.uri.rstrip('/')}/{page}"
    link = address if is_s3(address) else Path(address).absolute().as_uri()
    create_link_artifact(link, link_text=text, key=key, description=address)
