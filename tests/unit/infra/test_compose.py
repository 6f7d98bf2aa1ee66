"""The compose files: valid by the Compose Specification, pinned, closed, and made of settings that exist."""

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import prefect.settings
import pytest
import yaml
from compose_spec import PyCompose
from prefect_redis.cleanup_queue import RedisWorkerCleanupQueueSettings
from prefect_redis.client import RedisMessagingSettings

# ${NAME}, ${NAME:-default} or ${NAME:?complaint}
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*)|:\?([^}]*))?\}")
SECRETS = {
    "POSTGRES_PASSWORD",
    "REDIS_PASSWORD",
    "PREFECT_PASSWORD",
    "S3_ACCESS_KEY",
    "S3_SECRET_KEY",
    "GARAGE_RPC_SECRET",
}


@pytest.fixture(scope="module")
def text(infra: Path) -> str:
    return (infra / "compose" / "compose.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def services(text: str) -> dict[str, dict[str, Any]]:
    """Each service as Docker sees it, every secret being `secret`."""
    loaded: dict[str, dict[str, Any]] = yaml.safe_load(
        VARIABLE.sub(lambda found: found[2] or "secret", text)
    )["services"]
    return loaded


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
def test_it_follows_the_compose_specification(infra: Path, name: str) -> None:
    text = VARIABLE.sub(
        lambda found: found[2] or "secret", (infra / "compose" / name).read_text(encoding="utf-8")
    )
    # The parser knows YAML's merge keys only one level deep.
    PyCompose.from_json(json.dumps(yaml.safe_load(text)))
    with pytest.raises(ValueError, match="restarts"):
        PyCompose.from_json(json.dumps({"services": {"a": {"image": "b", "restarts": "always"}}}))


def test_every_image_is_pinned_to_a_version(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        image, _, tag = service["image"].partition(":")
        assert image == "unimol2-tasks" or re.search(r"\d+\.\d+", tag), f"{name}: {service['image']}"


def test_every_container_is_read_only_and_without_privileges(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.keys() & {"privileged", "cap_add", "pid", "network_mode"}, name


def test_nothing_is_published_beyond_this_machine(services: dict[str, dict[str, Any]]) -> None:
    published = [port for service in services.values() for port in service.get("ports", ())]
    assert published == ["127.0.0.1:4200:4200", "127.0.0.1:3900:3900"]


def test_who_is_waited_for_says_when_it_is_healthy(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "test" in services[other]["healthcheck"], f"{name} waits for {other}"
    assert services["worker"]["depends_on"]["setup"] == {"condition": "service_completed_successfully"}
    assert "restart" not in services["setup"]


def test_flows_cannot_reach_the_database(text: str, services: dict[str, dict[str, Any]]) -> None:
    assert yaml.safe_load(text)["networks"]["database"] == {"internal": True}
    members = {name for name, service in services.items() if "database" in service["networks"]}
    assert members == {"postgres", "redis", "prefect-server", "prefect-services"}


def test_every_volume_is_declared_and_every_mounted_file_exists(
    infra: Path, text: str, services: dict[str, dict[str, Any]]
) -> None:
    declared = yaml.safe_load(text)["volumes"].keys()
    for service in services.values():
        for source in (volume.split(":")[0] for volume in service.get("volumes", ())):
            assert source in declared or (infra / "compose" / source).is_file(), source


def test_secrets_have_no_default_and_come_from_the_script(infra: Path, text: str) -> None:
    found = {match[1]: match[2] for match in VARIABLE.finditer(text) if match[3]}
    assert set(found) == SECRETS
    script = (infra / "compose" / "secrets.sh").read_text(encoding="utf-8")
    assert set(re.findall(r"^add (\w+)", script, re.MULTILINE)) == SECRETS
    for line in text.splitlines():
        if re.search(r"PASSWORD|SECRET|AUTH_STRING|ACCESS_KEY\b", line.partition(":")[0]):
            assert "${" in line or "$$" in line, line


@pytest.mark.parametrize("name", ["prefect-server", "prefect-services", "worker", "setup"])
def test_every_setting_of_prefect_exists(
    name: str, services: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in services[name]["environment"].items():
        if key.startswith("PREFECT_REDIS_"):
            monkeypatch.setenv(key, value)
        elif key.startswith("PREFECT_"):
            assert hasattr(prefect.settings, key), key
        if value.startswith("prefect_redis."):
            import_module(value)
    if name.startswith("prefect-"):
        redis = RedisMessagingSettings()
        assert (redis.host, redis.port, redis.password) == ("redis", 6379, "secret")
        assert RedisWorkerCleanupQueueSettings().url == "redis://:secret@redis:6379/0"


def test_a_setting_that_does_not_exist_would_be_noticed() -> None:
    assert not hasattr(prefect.settings, "PREFECT_SERVER_DOCKET_ADDRESS")


def test_server_and_services_share_what_they_say_to_each_other(services: dict[str, dict[str, Any]]) -> None:
    server, background = (services[name]["environment"] for name in ("prefect-server", "prefect-services"))
    differing = {key for key in server.keys() | background.keys() if server.get(key) != background.get(key)}
    assert differing == {
        "PREFECT_SERVER_UI_STATIC_DIRECTORY",
        "PREFECT_SERVER_UI_API_URL",
        "PREFECT_SERVER_DATABASE_MIGRATE_ON_START",
    }
    # One of these in memory, and the two would not hear of each other.
    for key in ("MESSAGING_BROKER", "MESSAGING_CACHE", "CAUSAL_ORDERING"):
        assert server[f"PREFECT_SERVER_EVENTS_{key}"].startswith("prefect_redis.")
    assert server["PREFECT_SERVER_DOCKET_URL"].startswith("redis://")
    assert "--no-services" in services["prefect-server"]["command"]


def test_the_worker_has_time_for_the_last_checkpoint(services: dict[str, dict[str, Any]]) -> None:
    from unimol2_tasks.params import Params

    grace = float(services["worker"]["stop_grace_period"].removesuffix("s"))
    assert grace >= Params().supervision.grace_seconds + 60


def test_the_worker_is_stopped_after_its_flow_runs(services: dict[str, dict[str, Any]], infra: Path) -> None:
    # -g would be of no use: the runs have sessions of their own, and the script stops them one by one.
    entrypoint = services["worker"]["entrypoint"]
    assert entrypoint == ["tini", "--", "bash", "/work/infra/docker/worker.sh", "prefect"]
    dockerfile = (infra / "docker" / "Dockerfile").read_text(encoding="utf-8")
    assert "WORKDIR /work\n" in dockerfile
    assert "COPY infra/docker/worker.sh infra/docker/\n" in dockerfile


def test_an_image_is_built_once_and_what_is_built_here_is_never_pulled(
    services: dict[str, dict[str, Any]],
) -> None:
    # Compose exports all builds at once, and refuses the second of one tag.
    (builder,) = (name for name, service in services.items() if "build" in service)
    image = services[builder]["image"]
    others = {name for name, service in services.items() if service["image"] == image} - {builder}
    assert others == {"setup"}
    assert services["setup"]["pull_policy"] == "never"


def test_every_writable_place_of_the_image_is_a_volume_of_the_worker(
    infra: Path, services: dict[str, dict[str, Any]]
) -> None:
    dockerfile = (infra / "docker" / "Dockerfile").read_text(encoding="utf-8")
    (volumes,) = re.findall(r"^VOLUME (\[.*\])$", dockerfile, re.MULTILINE)
    mounted = {volume.split(":")[1] for volume in services["worker"]["volumes"]}
    assert set(json.loads(volumes)) == mounted
