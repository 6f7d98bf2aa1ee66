"""The Kubernetes job that deploys the flows: restricted, and what it would ask Prefect for."""

import os
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml


@pytest.fixture(scope="module")
def job(infra: Path) -> dict[str, Any]:
    text = (infra / "kubernetes" / "deploy-flows.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@pytest.fixture(scope="module")
def template(infra: Path) -> dict[str, Any]:
    text = (infra / "kubernetes" / "base-job-template.json").read_text(encoding="utf-8")
    properties: dict[str, Any] = yaml.safe_load(text)["variables"]["properties"]
    return {name: entry["default"] for name, entry in properties.items()}


def asked_of_prefect(job: dict[str, Any], project_root: Path, folder: Path, known: str = "") -> list[str]:
    """What the job's script asks for, with a `prefect` that writes it down and knows one automation."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    *shell, option = container["command"][container["command"].index("bash") :]
    assert option == "-c"
    fake = folder / "prefect"
    fake.write_text(
        f'#!/bin/sh\necho "$*" >>{folder}/asked\n[ "$2" != inspect ] || [ "$3" = "{known}" ]\n',
        encoding="utf-8",
    )
    fake.chmod(0o755)
    script = container["args"][0].replace("/tmp/", f"{folder}/")  # noqa: S108
    subprocess.run(
        [*shell, option, script],
        cwd=project_root,
        env={"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"},
        check=True,
        timeout=60,
    )
    return (folder / "asked").read_text(encoding="utf-8").splitlines()


def test_it_is_valid_and_may_run_where_pods_are_restricted(job: dict[str, Any]) -> None:
    kubernetes_validate.validate(job, "1.37", strict=True)
    pod = job["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert all("value" not in entry for entry in container["env"] if "AUTH" in entry["name"])


def test_it_is_to_the_cluster_what_a_flow_is(
    job: dict[str, Any], template: dict[str, Any], infra: Path
) -> None:
    pod = job["spec"]["template"]
    assert pod["metadata"]["labels"] == {"app.kubernetes.io/component": "unimol2-flow"}
    assert pod["spec"]["serviceAccountName"] == template["service_account_name"]
    (container,) = pod["spec"]["containers"]
    assert container["image"] == template["image"]
    worker = yaml.safe_load((infra / "kubernetes" / "prefect-worker-values.yaml").read_text(encoding="utf-8"))
    environment = {entry["name"]: entry for entry in container["env"]}
    api = worker["worker"]["selfHostedServerApiConfig"]
    assert environment["PREFECT_API_URL"]["value"] == api["apiUrl"]
    secret = environment["PREFECT_API_AUTH_STRING"]["valueFrom"]["secretKeyRef"]
    assert secret == {"name": api["basicAuth"]["existingSecret"], "key": "auth-string"}


def test_every_flow_is_deployed_for_the_clusters_pool(
    job: dict[str, Any], template: dict[str, Any], infra: Path, project_root: Path, tmp_path: Path
) -> None:
    asked = asked_of_prefect(job, project_root, tmp_path)
    assert asked[0] == "block register --module unimol2_tasks.blocks"
    assert asked[1] == f"--no-prompt deploy --prefect-file {tmp_path}/prefect.yaml --all"
    here = yaml.safe_load((project_root / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    there = yaml.safe_load((tmp_path / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    assert [entry["name"] for entry in there] == [entry["name"] for entry in here]
    worker = yaml.safe_load((infra / "kubernetes" / "prefect-worker-values.yaml").read_text(encoding="utf-8"))
    pools = {entry["work_pool"]["name"] for entry in there}
    assert pools == {worker["worker"]["config"]["workPool"]}
    outs = [entry["parameters"]["out"] for entry in there if "out" in entry.get("parameters", {})]
    assert len(outs) >= 8
    assert all(out.startswith(f"{template['mount_path']}/runs/") for out in outs)


@pytest.mark.parametrize(("known", "created"), [("", 1), ("unimol2 zombies", 0)])
def test_the_automation_is_created_once(
    known: str, created: int, job: dict[str, Any], project_root: Path, tmp_path: Path
) -> None:
    asked = asked_of_prefect(job, project_root, tmp_path, known)
    assert asked.count("automation create --from-file infra/prefect/zombies.yaml") == created
