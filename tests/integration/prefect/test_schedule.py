"""Deployments that run from a schedule."""

from typing import Any

from tests.integration.prefect.projects import Project, wait_until


def due(project: Project) -> list[dict[str, Any]]:
    """Runs whose time has come."""
    return [run for run in project.runs("nightly-data") if run["state_name"] == "Late" or run["start_time"]]


def test_what_waited_is_done_once(project: Project, settings: dict[str, Any]) -> None:
    project.deploy("nightly-data")
    deployment = project.deployment("nightly-data")
    address = f"/deployments/{deployment['id']}"
    parameters = deployment["parameters"] | {"params": settings}
    project.client.patch(address, json={"parameters": parameters}).raise_for_status()
    often = {"schedule": {"interval": 5, "anchor_date": "2024-01-01T00:00:00Z"}, "active": True}
    project.client.post(f"{address}/schedules", json=[often]).raise_for_status()
    wait_until(lambda: len(due(project)) >= 2, "two runs that are late")

    project.start_worker("--limit", "1", "--run-once").process.wait(600)
    project.start_worker("--limit", "1", "--run-once").process.wait(600)
    begun = [run for run in project.runs("nightly-data") if run["start_time"]]
    ended: dict[str, list[dict[str, Any]]] = {"Completed": [], "Skipped": []}
    for run in begun:
        ended.setdefault(run["state_name"], []).append(run)
    (done,) = ended["Completed"]
    assert done["auto_scheduled"] is True
    assert ended["Skipped"]
    assert all("has done the same" in run["state"]["message"] for run in ended["Skipped"])
    (folder,) = (path for path in (project.folder / "runs" / "nightly").iterdir() if path.name != ".work")
    assert (folder / "manifest.json").is_file()
    assert len(folder.name) == 12
