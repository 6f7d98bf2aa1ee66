"""The tasks that reproduce a DVC project stage by stage."""

import re
from pathlib import Path

from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from unimol2_tasks import versioning
from unimol2_tasks.versioning import StageResult


@task(
    name="reproduce stage",
    description="Bring a stage of a DVC project up to date; DVC decides whether it has to run.",
    task_run_name="{stage}",
    tags=["unimol2", "dvc"],
    cache_policy=NO_CACHE,
    persist_result=False,
)
def reproduce_stage(project: str, stage: str, pull: bool = False) -> StageResult:
    """Bring one stage of a project up to date, its lines in the log and its metrics as a table.

    Args:
        project: The folder with `.dvc`; one of this run's own, see `versioning.clone_for_run`.
        stage: As `versioning.stages_in_order` calls it.
        pull: Fetch from the remote what DVC's cache lacks.

    Raises:
        UserError: DVC or the stage failed; the message holds its last lines.
    """
    result = versioning.reproduce_stage(Path(project), stage, get_run_logger().info, pull, mark=project)
    if result.metrics:
        rows = [{"metric": name, "value": value} for name, value in result.metrics.items()]
        key = f"unimol2-dvc-{re.sub('[^a-z0-9]+', '-', stage.lower()).strip('-')}"
        create_table_artifact(rows, key=key, description=f"Metrics of stage `{stage}` ({result.outcome})")
    return result


@task(
    name="push to DVC remote",
    description="Store what the stages made on the DVC project's remote.",
    task_run_name="dvc push",
    tags=["unimol2", "dvc"],
    cache_policy=NO_CACHE,
    persist_result=False,
)
def push_to_remote(project: str) -> None:
    """Store the data that a project's lock files name, and its run cache, on its remote.

    Raises:
        UserError: There is no remote, or it refuses.
    """
    versioning.push(Path(project), get_run_logger().info, mark=project)
