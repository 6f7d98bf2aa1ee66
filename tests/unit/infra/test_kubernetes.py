"""The Kubernetes manifests: valid by the API's schema, and no more rights and ways than are needed."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from network_policies import Place, may_connect

from unimol2_tasks.params import LaunchParams
from unimol2_tasks.training.job import RunFolder
from unimol2_tasks.training.launchers import kubernetes_api
from unimol2_tasks.training.launchers.kubernetes_manifest import job_manifest

VERSION = "1.37"
FILES = ("launcher-role.yaml", "service-accounts.yaml", "network-policies.yaml")
VERBS = {"create": "create", "read": "get", "list": "list", "delete": "delete"}


@pytest.fixture(scope="module")
def manifests(infra: Path) -> list[dict[str, Any]]:
    """Every object of the files for `kubectl apply`."""
    files = [infra / "kubernetes" / name for name in FILES]
    return [entry for file in files for entry in yaml.safe_load_all(file.read_text(encoding="utf-8"))]


def named(manifests: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (found,) = (entry for entry in manifests if (entry["kind"], entry["metadata"]["name"]) == (kind, name))
    return found


def rights(role: dict[str, Any]) -> set[tuple[str, str]]:
    """Pairs of resource and verb."""
    return {
        (resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]
    }


def test_every_manifest_follows_the_schema(manifests: list[dict[str, Any]]) -> None:
    for manifest in manifests:
        kubernetes_validate.validate(manifest, VERSION, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**manifests[0], "rulez": []}, VERSION, strict=True)


def test_the_launcher_may_do_what_it_does_and_nothing_else(manifests: list[dict[str, Any]]) -> None:
    source = Path(kubernetes_api.__file__).read_text(encoding="utf-8")
    calls = re.findall(r"\.(create|read|list|delete)_namespaced_(\w+)", source)
    used = {("pods/log" if what == "pod_log" else f"{what}s", VERBS[verb]) for verb, what in calls}
    assert len(used) == 6
    assert rights(named(manifests, "Role", "unimol2-launcher")) == used


def test_the_worker_starts_and_watches_jobs_and_sees_no_secret(manifests: list[dict[str, Any]]) -> None:
    assert rights(named(manifests, "Role", "unimol2-worker")) == {
        *(("jobs", verb) for verb in ("create", "get", "list", "watch", "delete")),
        *(("pods", verb) for verb in ("get", "list", "watch")),
        ("pods/log", "get"),
    }


def test_training_has_no_rights_and_no_token(manifests: list[dict[str, Any]]) -> None:
    assert named(manifests, "ServiceAccount", "unimol2-training")["automountServiceAccountToken"] is False
    bound = [subject["name"] for entry in manifests for subject in entry.get("subjects", ())]
    assert sorted(bound) == ["unimol2-launcher", "unimol2-worker"]


def test_every_binding_leads_from_an_account_to_a_role(manifests: list[dict[str, Any]]) -> None:
    for binding in (entry for entry in manifests if entry["kind"] == "RoleBinding"):
        named(manifests, "Role", binding["roleRef"]["name"])
        for subject in binding["subjects"]:
            named(manifests, "ServiceAccount", subject["name"])


SERVER = Place({"app.kubernetes.io/name": "prefect-server"})
WORKER = Place({"app.kubernetes.io/name": "prefect-worker"})
FLOW = Place({"app.kubernetes.io/component": "unimol2-flow", "app.kubernetes.io/managed-by": "prefect"})
STRANGER = Place({"app.kubernetes.io/name": "something-else"})
DNS = Place({"k8s-app": "kube-dns"}, namespace={"kubernetes.io/metadata.name": "kube-system"})
NEIGHBOUR = Place(
    {"app.kubernetes.io/name": "prefect-worker"}, namespace={"kubernetes.io/metadata.name": "other"}
)
S3 = Place(address="52.219.0.1")
METADATA = Place(address="169.254.169.254")


@pytest.fixture(scope="module")
def policies(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry for entry in manifests if entry["kind"] == "NetworkPolicy"]


@pytest.fixture(scope="module")
def rank() -> Place:
    """A pod as the launcher makes it."""
    params = LaunchParams.model_validate(
        {"launcher": "kubernetes", "kubernetes": {"image": "i", "volume_claim": "v", "mount_path": "/models"}}
    )
    job = job_manifest(RunFolder(Path("/models/run")), "unimol2-0123", 1, params, {}, 20.0)
    return Place(job["spec"]["template"]["metadata"]["labels"])


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [(WORKER, SERVER, 4200), (FLOW, SERVER, 4200), (FLOW, S3, 443), (WORKER, S3, 6443), (SERVER, S3, 5432)],
)
def test_what_has_to_speak_may(
    policies: list[dict[str, Any]], source: Place, target: Place, port: int
) -> None:
    assert may_connect(policies, source, target, port)


def test_both_directions_are_closed_for_every_pod(policies: list[dict[str, Any]]) -> None:
    closed = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert [policy["metadata"]["name"] for policy in policies if policy["spec"] == closed] == [
        "deny-what-is-not-allowed"
    ]


@pytest.mark.parametrize("source", [WORKER, FLOW, SERVER, STRANGER])
def test_everybody_may_look_up_names(policies: list[dict[str, Any]], source: Place) -> None:
    assert may_connect(policies, source, DNS, 53, "UDP")
    assert not may_connect(policies, source, DNS, 443)


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        (STRANGER, SERVER, 4200),
        (NEIGHBOUR, SERVER, 4200),
        (S3, SERVER, 4200),
        (STRANGER, S3, 443),
        (FLOW, METADATA, 443),
        (WORKER, METADATA, 443),
        (FLOW, WORKER, 8080),
        (FLOW, S3, 80),
        (WORKER, SERVER, 22),
    ],
)
def test_what_need_not_speak_may_not(
    policies: list[dict[str, Any]], source: Place, target: Place, port: int
) -> None:
    assert not may_connect(policies, source, target, port)


def test_ranks_speak_to_each_other_alone(policies: list[dict[str, Any]], rank: Place) -> None:
    for port in (29500, 41234):
        assert may_connect(policies, rank, rank, port)
    assert may_connect(policies, rank, DNS, 53)
    for target, port in ((SERVER, 4200), (S3, 443), (METADATA, 443), (FLOW, 29500)):
        assert not may_connect(policies, rank, target, port)
    for source in (FLOW, STRANGER, NEIGHBOUR):
        assert not may_connect(policies, source, rank, 29500)
