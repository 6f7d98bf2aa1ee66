"""The flow that reproduces a DVC project."""

from pathlib import Path

from prefect import flow, get_run_logger, task

from unimol2_tasks import versioning


@task(name="dvc", task_run_name="dvc {command}", tags=["unimol2", "dvc"], result_serializer="json")
def dvc(command: str, repository: str, targets: list[str] | None = None) -> dict[str, dict[str, object]]:
    """Run `dvc pull`, `repro` or `push`; `repro` returns the stages of `dvc.lock`."""
    say = get_run_logger().info
    if command == "repro":
        return versioning.reproduce(Path(repository), targets or (), say)
    {"pull": versioning.pull, "push": versioning.push}[command](Path(repository), say)
    return {}


@flow(name="unimol2-reproduce", flow_run_name="reproduce {repository}", result_serializer="json")
def reproduce(
    repository: str, targets: list[str] | None = None, pull: bool = False, push: bool = False
) -> dict[str, dict[str, object]]:
    """Run the stages of a DVC project whose inputs or parameters have changed.

    Args:
        repository: Folder of a Git repository with `dvc.yaml`.
        targets: Stages; none: all.
        pull: Fetch data from the remote first.
        push: Store the results on the remote afterwards.

    Returns:
        The stages of `dvc.lock` afterwards.
    """
    if pull:
        dvc("pull", repository)
    stages = dvc("repro", repository, targets)
    if push:
        dvc("push", repository)
    return stages
