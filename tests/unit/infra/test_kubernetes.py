"""The Kubernetes manifests: valid by the API's schema, and no more rights than are needed."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from unimol2_tasks.training.launchers import kubernetes_api

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


@pytest.mark.parametrize("account", ["unimol2-flow", "unimol2-training"])
def test_flows_and_training_have_no_rights_and_no_token(
    manifests: list[dict[str, Any]], account: str
) -> None:
    assert named(manifests, "ServiceAccount", account)["automountServiceAccountToken"] is False
    bound = [subject["name"] for entry in manifests for subject in entry.get("subjects", ())]
    assert sorted(bound) == ["unimol2-launcher", "unimol2-worker"]


def test_every_binding_leads_from_an_account_to_a_role(manifests: list[dict[str, Any]]) -> None:
    for binding in (entry for entry in manifests if entry["kind"] == "RoleBinding"):
        named(manifests, "Role", binding["roleRef"]["name"])
        for subject in binding["subjects"]:
            named(manifests, "ServiceAccount", subject["name"])
