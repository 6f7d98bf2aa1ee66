"""The values for Prefect's charts: names that the charts know, versions that were tried, no secrets."""

import re
from pathlib import Path

import pytest
import yaml
from prefect_kubernetes.settings import KubernetesSettings

CHARTS = ("prefect-server", "prefect-worker")


def test_the_worker_finds_the_server_and_its_password(infra: Path) -> None:
    """prefect-helm, charts/prefect-worker/UPGRADING.md: the names after 2025.3.6."""
    text = (infra / "kubernetes" / "prefect-worker-values.yaml").read_text(encoding="utf-8")
    worker = yaml.safe_load(text)["worker"]
    assert worker["apiConfig"] == "selfHostedServer"
    assert worker["selfHostedServerApiConfig"] == {
        "apiUrl": "http://prefect-server.chem.svc.cluster.local:4200/api",
        "basicAuth": {"enabled": True, "existingSecret": "prefect-auth"},
    }
    assert not worker.keys() & {"serverApiConfig", "basicAuth"}


@pytest.mark.parametrize("chart", CHARTS)
def test_the_charts_version_is_said_and_everywhere_the_same(
    chart: str, infra: Path, project_root: Path
) -> None:
    values = (infra / "kubernetes" / f"{chart}-values.yaml").read_text(encoding="utf-8")
    page = (project_root / "docs" / "infrastructure.md").read_text(encoding="utf-8")
    asked = re.findall(rf"prefect/{chart} .*--version (\S+)", page)
    assert len(asked) == 1
    assert re.findall(r"--version (\S+)", values) == asked


def test_the_charts_values_name_what_is_there(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = yaml.safe_load((infra / "kubernetes" / "prefect-worker-values.yaml").read_text(encoding="utf-8"))
    accounts = (infra / "kubernetes" / "service-accounts.yaml").read_text(encoding="utf-8")
    assert f"name: {values['serviceAccount']['name']}\n" in accounts
    for entry in values["worker"]["extraEnvVars"]:
        monkeypatch.setenv(entry["name"], entry["value"])
    settings = KubernetesSettings()
    assert settings.observer.namespaces == {"chem"}
    assert settings.worker.api_auth_string_secret_name == "prefect-auth"
    assert settings.worker.api_auth_string_secret_key == "auth-string"


@pytest.mark.parametrize("name", ["prefect-server-values.yaml", "prefect-worker-values.yaml"])
def test_the_charts_run_the_version_that_was_tried(name: str, infra: Path, project_root: Path) -> None:
    constraints = (project_root / "constraints.txt").read_text(encoding="utf-8")
    (version,) = re.findall(r"^prefect==(.*)$", constraints, re.MULTILINE)
    text = (infra / "kubernetes" / name).read_text(encoding="utf-8")
    compose = (infra / "compose" / "compose.yaml").read_text(encoding="utf-8")
    assert re.search(rf"prefectTag: {re.escape(version)}-python3\.11", text)
    assert f"prefecthq/prefect:{version}-python3.11" in compose


def test_no_secret_is_written_into_the_values(infra: Path) -> None:
    for name in ("prefect-server-values.yaml", "prefect-worker-values.yaml"):
        text = (infra / "kubernetes" / name).read_text(encoding="utf-8")
        assert not re.search(
            r"^\s*(password|authString|connectionString)\s*:", text, re.MULTILINE | re.IGNORECASE
        )
