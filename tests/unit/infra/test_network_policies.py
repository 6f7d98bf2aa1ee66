"""The network policies: who may speak to whom, by Kubernetes' rules."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from network_policies import Place, may_connect

from unimol2_tasks.params import LaunchParams
from unimol2_tasks.training.job import RunFolder
from unimol2_tasks.training.launchers.kubernetes_manifest import job_manifest

# As Prefect's chart labels them.
SERVER = Place({"app.kubernetes.io/name": "prefect-server", "app.kubernetes.io/component": "server"})
SERVICES = Place(
    {"app.kubernetes.io/name": "prefect-server", "app.kubernetes.io/component": "background-services"}
)
WORKER = Place({"app.kubernetes.io/name": "prefect-worker"})
FLOW = Place({"app.kubernetes.io/component": "unimol2-flow", "app.kubernetes.io/managed-by": "prefect"})
STRANGER = Place({"app.kubernetes.io/name": "something-else"})
DNS = Place({"k8s-app": "kube-dns"}, namespace={"kubernetes.io/metadata.name": "kube-system"})
NEIGHBOUR = Place(
    {"app.kubernetes.io/name": "prefect-worker"}, namespace={"kubernetes.io/metadata.name": "other"}
)
INGRESS = Place(
    {"app.kubernetes.io/name": "ingress-nginx"}, namespace={"kubernetes.io/metadata.name": "ingress-nginx"}
)
DATABASE = Place({"app.kubernetes.io/name": "postgresql"})
S3 = Place(address="52.219.0.1")
SLACK = Place(address="3.68.0.1")
METADATA = Place(address="169.254.169.254")


@pytest.fixture(scope="module")
def policies(infra: Path) -> list[dict[str, Any]]:
    text = (infra / "kubernetes" / "network-policies.yaml").read_text(encoding="utf-8")
    return list(yaml.safe_load_all(text))


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
    [
        (WORKER, SERVER, 4200),
        (FLOW, SERVER, 4200),
        (INGRESS, SERVER, 4200),
        (FLOW, S3, 443),
        (WORKER, S3, 6443),
        (SERVER, S3, 5432),
        (SERVICES, S3, 5432),
        (SERVICES, S3, 6379),
        (SERVICES, SLACK, 443),
    ],
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


@pytest.mark.parametrize("source", [WORKER, FLOW, SERVER, SERVICES, STRANGER])
def test_everybody_may_look_up_names(policies: list[dict[str, Any]], source: Place) -> None:
    assert may_connect(policies, source, DNS, 53, "UDP")
    assert not may_connect(policies, source, DNS, 443)


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        (STRANGER, SERVER, 4200),
        (NEIGHBOUR, SERVER, 4200),
        (S3, SERVER, 4200),
        (INGRESS, SERVER, 22),
        (INGRESS, FLOW, 4200),
        (SERVER, SLACK, 443),
        (SERVICES, SLACK, 80),
        (SERVICES, METADATA, 443),
        # Inside of the namespace it needs a rule of its own to be reached.
        (SERVER, DATABASE, 5432),
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
