"""The base job template of the Kubernetes work pool, rendered by Prefect's own worker classes."""

import asyncio
import json
import re
import uuid
from inspect import signature
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import kubernetes_validate
import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.runner._process_manager import ProcessManager
from prefect_kubernetes.worker import KubernetesWorker, KubernetesWorkerJobConfiguration

from unimol2_tasks.artifacts.store import Recipe
from unimol2_tasks.blocks.artifact_store import store_of
from unimol2_tasks.params import Params

GPU = {
    "gpus": 4,
    "node_selector": {"accelerator": "nvidia"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
}


@pytest.fixture(scope="module")
def template(infra: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(
        (infra / "kubernetes" / "base-job-template.json").read_text(encoding="utf-8")
    )
    return loaded


def rendered(template: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The job that the worker would create for a flow run."""
    values = {"image": "registry.example.org/unimol2-tasks:0.1.0-gpu", **values}
    configure = KubernetesWorkerJobConfiguration.from_template_and_values
    configuration = asyncio.run(configure(template, values, client=AsyncMock()))
    configuration.prepare_for_flow_run(FlowRun(id=uuid.uuid4(), flow_id=uuid.uuid4(), name="calm-owl"))
    return dict(configuration.job_manifest)


@pytest.mark.parametrize("values", [{}, GPU], ids=["cpu", "gpu"])
def test_the_worker_makes_a_valid_job_of_it(template: dict[str, Any], values: dict[str, Any]) -> None:
    job = rendered(template, values)
    kubernetes_validate.validate(job, "1.37", strict=True)
    assert "{{" not in json.dumps(job)


def test_placeholders_and_variables_match(template: dict[str, Any]) -> None:
    used = set(re.findall(r"{{ (\w+) }}", json.dumps(template["job_configuration"])))
    assert used == set(template["variables"]["properties"])


def test_what_prefect_configures_is_there(template: dict[str, Any]) -> None:
    reference = KubernetesWorker.get_default_base_job_template()
    assert template["job_configuration"].keys() == reference["job_configuration"].keys()
    # In place of these there is one amount for request and limit, and Prefect alone repeats runs.
    replaced = {"cpu_request", "cpu_limit", "memory_request", "memory_limit", "backoff_limit"}
    assert (
        reference["variables"]["properties"].keys() - template["variables"]["properties"].keys() == replaced
    )


def test_every_variable_is_explained_and_has_a_default(template: dict[str, Any]) -> None:
    variables = template["variables"]
    assert all(entry["description"].endswith(".") for entry in variables["properties"].values())
    # prefect.yaml knows no image: without a default its deployments could not run here.
    assert all("default" in entry for entry in variables["properties"].values())
    assert "required" not in variables


def test_what_is_not_finished_lies_on_the_claim(
    template: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pods of training see nothing else, and it is there after an eviction."""
    pod = rendered(template, {"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}})["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    assert environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"
    (claim,) = (volume["name"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume)
    (mount,) = (mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == claim)
    setting = "PREFECT_INTEGRATIONS_UNIMOL2_CACHE"
    monkeypatch.setenv(setting, environment[setting])
    store = store_of(None)
    assert store.cache.is_relative_to(mount)
    assert store.work_folder("s3://chem/artifacts", Recipe("model", {})).is_relative_to(mount)


def test_gpus_are_asked_for_where_the_nodes_have_them(template: dict[str, Any]) -> None:
    pod = rendered(template, GPU)["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 4
    assert pod["nodeSelector"] == GPU["node_selector"]
    assert pod["tolerations"] == GPU["tolerations"]


def test_shared_memory_is_memory(template: dict[str, Any]) -> None:
    pod = rendered(template, {"shared_memory": "32Gi"})["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounted = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    assert volumes[mounted["/dev/shm"]]["emptyDir"] == {"medium": "Memory", "sizeLimit": "32Gi"}  # noqa: S108


def test_it_runs_as_the_images_user_and_writes_to_volumes_only(template: dict[str, Any], infra: Path) -> None:
    pod = rendered(template, {})["spec"]["template"]["spec"]
    dockerfile = (infra / "docker" / "Dockerfile").read_text(encoding="utf-8")
    (uid,) = re.findall(r"^ARG UID=(\d+)$", dockerfile, re.MULTILINE)
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == int(uid)
    assert pod["securityContext"]["runAsNonRoot"] is True
    container = pod["containers"][0]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    (volumes,) = re.findall(r"^VOLUME (\[.*\])$", dockerfile, re.MULTILINE)
    assert {*json.loads(volumes), "/tmp"} <= {mount["mountPath"] for mount in container["volumeMounts"]}  # noqa: S108


def test_the_flow_is_what_runs_and_not_the_images_command(template: dict[str, Any]) -> None:
    container = rendered(template, {})["spec"]["template"]["spec"]["containers"][0]
    assert [*container["command"], *container["args"]] == [
        "tini",
        "-g",
        "--",
        "prefect",
        "flow-run",
        "execute",
    ]


def test_there_is_time_for_the_emergency_checkpoint(template: dict[str, Any]) -> None:
    pod = rendered(template, {})["spec"]["template"]["spec"]
    of_the_flow = signature(ProcessManager.kill).parameters["grace_seconds"].default
    assert Params().supervision.grace_seconds < of_the_flow == 30
    assert pod["terminationGracePeriodSeconds"] >= of_the_flow + 30


def test_prefect_alone_repeats_a_run(template: dict[str, Any]) -> None:
    job = rendered(template, {})
    assert job["spec"]["backoffLimit"] == 0
    environment = {
        entry["name"]: entry["value"] for entry in job["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    assert environment["PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"] == "reschedule"


def test_accounts_and_labels_are_those_of_the_manifests(template: dict[str, Any], infra: Path) -> None:
    pod = rendered(template, {})["spec"]["template"]
    text = {
        name: (infra / "kubernetes" / f"{name}.yaml").read_text(encoding="utf-8")
        for name in ("service-accounts", "network-policies")
    }
    assert pod["spec"]["serviceAccountName"] == "unimol2-flow"
    assert "name: unimol2-flow\n" in text["service-accounts"]
    label = pod["metadata"]["labels"]["app.kubernetes.io/component"]
    assert f"app.kubernetes.io/component: {label}" in text["network-policies"]
