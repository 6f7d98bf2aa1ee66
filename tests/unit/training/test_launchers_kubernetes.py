"""The Kubernetes launcher: its manifests against the client's schema, its job against a small API server."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from unimol2_tasks.errors import ParameterError, UserError
from unimol2_tasks.params import LaunchParams, parse_params
from unimol2_tasks.training.job import RunFolder
from unimol2_tasks.training.launch import STACKS, request_file
from unimol2_tasks.training.launchers.kubernetes import KubernetesLauncher
from unimol2_tasks.training.launchers.kubernetes_api import Cluster
from unimol2_tasks.training.launchers.kubernetes_manifest import job_manifest, service_manifest
from unimol2_tasks.training.launchers.record import LaunchRecord

client = pytest.importorskip("kubernetes.client", reason="the extra `kubernetes` is not installed")

FAILED = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too often"}


@dataclass
class ApiServer:
    """The part of a Kubernetes API that jobs, services and pods need; a test sets what has become of them."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: list[dict[str, Any]] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)
    errors: list[int] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    keep_deleted: bool = False
    refused: str = ""

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        url = urlsplit(path)
        self.requests.append((method, url.path, body))
        if self.errors:
            return self.errors.pop(0), {"message": "etcd is compacting"}
        kind, name = url.path.split("/")[-2:]
        if method == "POST" and name == self.refused:
            return 403, {"message": "exceeded quota"}
        if method == "POST":
            return self._create(f"{name}/{body['metadata']['name']}", body)
        if url.path.endswith("/log"):
            return 200, f"what {kind} printed"
        if name == "pods":
            assert parse_qs(url.query)["labelSelector"][0].startswith("app.kubernetes.io/name=unimol2,")
            return 200, {"items": self.pods}
        if f"{kind}/{name}" not in self.objects:
            return 404, {"message": "not found"}
        if method == "DELETE" and not self.keep_deleted:
            return 200, self.objects.pop(f"{kind}/{name}")
        return 200, {**self.objects[f"{kind}/{name}"], "status": self.status}

    def _create(self, key: str, body: dict[str, Any]) -> tuple[int, Any]:
        if key in self.objects:
            return 409, {"message": "exists"}
        body["metadata"]["uid"] = "4711"
        self.objects[key] = body
        return 201, body


@pytest.fixture
def server() -> ApiServer:
    return ApiServer()


@pytest.fixture
def address(server: ApiServer) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            status, value = server.answer(self.command, self.path, body)
            content = (value if isinstance(value, str) else json.dumps(value)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(value, str) else "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - as http.server calls them

        def log_message(self, *_: object) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = tmp_path / "claim" / "run"
    folder.mkdir(parents=True)
    return RunFolder(folder)


def params(run: RunFolder, **values: Any) -> LaunchParams:
    kubernetes = {"namespace": "chem", "image": "registry/unimol2:1", "volume_claim": "models"}
    kubernetes |= {"mount_path": str(run.path.parent)} | values.pop("kubernetes", {})
    return LaunchParams.model_validate(
        {"launcher": "kubernetes", "nodes": 2, "poll_seconds": 0.01, "kubernetes": kubernetes, **values}
    )


@pytest.fixture
def launcher(run: RunFolder, address: str) -> KubernetesLauncher:
    def connect(namespace: str) -> Cluster:
        api = client.ApiClient(client.Configuration(host=address))
        api.configuration.retries = 0
        return Cluster(client.BatchV1Api(api), client.CoreV1Api(api), namespace)

    return KubernetesLauncher(params(run), grace=5.0, connect=connect)


def terminated(name: str, **ended: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "status": {
            "phase": "Failed",
            "containerStatuses": [
                {
                    "name": "ranks", "image": "i", "imageID": "i", "ready": False, "restartCount": 0,
                    "state": {"terminated": {"exitCode": 1, **ended}},
                }
            ],
        },
    }  # fmt: skip


def survives(manifest: dict[str, Any], kind: str) -> dict[str, Any]:
    """The manifest after the client has read it into its own types: what they do not know is lost."""

    class Response:
        data = json.dumps(manifest)

    api = client.ApiClient()
    read = api.deserialize(Response.data, kind, "application/json")
    return dict(api.sanitize_for_serialization(read))


def test_every_field_of_the_manifests_is_one_that_kubernetes_knows(run: RunFolder) -> None:
    kubernetes = {
        "service_account": "trainer", "secret": "s3", "cpu": "8", "memory": "64Gi",
        "node_selector": {"gpu": "h100"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
    }  # fmt: skip
    asked = params(run, kubernetes=kubernetes, time_limit=1.5)
    manifest = job_manifest(run, "name", 8, asked, {"A": "1"}, 20.0)
    assert survives(manifest, "V1Job") == manifest
    service = service_manifest("name", "chem", "4711")
    assert survives(service, "V1Service") == service


def test_a_pod_runs_its_share_of_the_ranks_and_meets_the_others(run: RunFolder) -> None:
    manifest = job_manifest(run, "name", 8, params(run), {"A": "$(id)"}, 20.0)
    spec, pod = manifest["spec"], manifest["spec"]["template"]["spec"]
    assert (spec["completions"], spec["parallelism"], spec["backoffLimit"]) == (2, 2, 0)
    assert pod["terminationGracePeriodSeconds"] == 30
    (container,) = pod["containers"]
    assert container["command"] == [
        "python", "-m", "unimol2_tasks.training.launch", str(run.path), "--ranks", "4", "--nodes", "2",
        "--rendezvous", "name-0.name:29500", "--id", "name",
    ]  # fmt: skip
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "4"}
    service = service_manifest("name", "chem", "4711")["spec"]
    assert service["selector"] == spec["template"]["metadata"]["labels"]
    assert pod["subdomain"] == "name"


def test_what_the_pods_could_not_see_is_refused(
    run: RunFolder, launcher: KubernetesLauncher, tmp_path: Path, server: ApiServer
) -> None:
    with pytest.raises(UserError, match=r"elsewhere: not below launch\.kubernetes\.mount_path"):
        launcher.start(RunFolder(tmp_path / "elsewhere"), 2, {})
    assert server.requests == []


def test_a_cluster_needs_an_image_and_a_claim() -> None:
    with pytest.raises(
        ParameterError, match=r"needs kubernetes\.image, .*volume_claim, kubernetes\.mount_path"
    ):
        parse_params({"launch": {"launcher": "kubernetes"}})


def test_a_job_waits_runs_completes_and_is_cleared_away(
    run: RunFolder, launcher: KubernetesLauncher, server: ApiServer
) -> None:
    launch = launcher.start(run, 2, {})
    assert [key.split("/")[0] for key in server.objects] == ["jobs", "services"]
    owner = server.objects[f"services/{launch.record.name}"]["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["uid"]) == ("Job", "4711")
    assert launch.phase() == "waiting"
    server.status = {"active": 2, "ready": 2}
    launch.poll.wait_for_end(0.2)
    assert launch.phase() == "running"
    server.pods = [terminated("name-0", exitCode=0)]
    server.status = {"conditions": [{"type": "Complete", "status": "True"}]}
    assert launch.poll.wait_for_end(5)
    assert launch.ending().reason is None
    launch.end()
    assert f"jobs/{launch.record.name}" not in server.objects
    assert "what name-0 printed" in run.log.read_text()
    assert LaunchRecord.read(run) is None


@pytest.mark.parametrize(
    ("condition", "pod", "reason", "words"),
    [
        ({}, terminated("p", reason="OOMKilled", exitCode=137), "out of memory", "pod p was out of memory"),
        ({}, terminated("p", exitCode=139), None, "pod p ended with exit code 139"),
        ({}, terminated("p", exitCode=66), "user error", "pod p does not see the run folder"),
        ({"reason": "DeadlineExceeded"}, None, "time limit", "DeadlineExceeded"),
        ({"message": "Pod p has condition DisruptionTarget matching"}, None, "preempted", "Pod p"),
        (
            {},
            {"metadata": {"name": "p"}, "status": {"reason": "Evicted", "message": "disk pressure"}},
            "preempted",
            "pod p: Evicted: disk pressure",
        ),
        (
            {},
            {
                "metadata": {"name": "p"},
                "status": {
                    "conditions": [
                        {
                            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
                            "message": "the node is unreachable",
                        }
                    ]
                },
            },
            "node failure",
            "pod p: the node is unreachable",
        ),
    ],
)  # fmt: skip
def test_the_end_of_a_failed_job_is_explained(
    run: RunFolder,
    launcher: KubernetesLauncher,
    server: ApiServer,
    condition: dict[str, str],
    pod: dict[str, Any] | None,
    reason: str | None,
    words: str,
) -> None:
    launch = launcher.start(run, 2, {})
    server.pods = [] if pod is None else [pod]
    server.status = {"conditions": [FAILED | condition], "active": 1}
    assert not launch.poll.wait_for_end(0.1), "its other pod has not ended"
    server.status = {"conditions": [FAILED | condition]}
    assert launch.poll.wait_for_end(5)
    assert launch.ending().reason == reason
    assert words in launch.ending().account


def test_a_job_that_somebody_deletes_was_stopped(
    run: RunFolder, launcher: KubernetesLauncher, server: ApiServer
) -> None:
    launch = launcher.start(run, 2, {})
    server.objects.clear()
    assert launch.poll.wait_for_end(5)
    assert launch.ending().reason == "stopped"


def test_a_supervisor_that_starts_again_follows_the_job_that_is_there(
    run: RunFolder, launcher: KubernetesLauncher, server: ApiServer
) -> None:
    assert launcher.attach(run) is None
    first = launcher.start(run, 2, {})
    # The first supervisor may have died between the two.
    del server.objects[f"services/{first.record.name}"]
    again = launcher.attach(run)
    assert again is not None
    assert again.name == first.name
    assert sorted(server.objects) == [f"jobs/{first.record.name}", f"services/{first.record.name}"]
    server.status = {"conditions": [FAILED]}
    assert launcher.attach(run) is None
    assert f"jobs/{first.record.name}" not in server.objects


def test_a_job_that_is_being_deleted_is_not_followed(
    run: RunFolder, launcher: KubernetesLauncher, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unimol2_tasks.training.launchers.kubernetes._END_SECONDS", -4.5)
    launch = launcher.start(run, 2, {})
    server.keep_deleted = True
    server.status = {"active": 1}
    launch.request_stop()
    deleted = [body for method, _, body in server.requests if method == "DELETE"]
    assert len(deleted) == 1
    with pytest.raises(UserError, match="does not end yet; where its node is gone for good"):
        launcher.attach(run)
    server.keep_deleted = False
    assert launcher.attach(run) is None
    assert LaunchRecord.read(run) is None


def test_a_server_in_trouble_is_asked_again_and_not_believed(
    run: RunFolder, launcher: KubernetesLauncher, server: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    launch = launcher.start(run, 2, {})
    server.errors = [503, 429, 500]
    server.status = {"active": 2, "ready": 2}
    assert launch.phase() == "waiting"
    launch.poll.wait_for_end(0.2)
    assert launch.phase() == "running"
    assert sum("asked again" in record.getMessage() for record in caplog.records) == 1


def test_a_refused_job_is_told_with_its_reason_and_forgotten(
    run: RunFolder, launcher: KubernetesLauncher, server: ApiServer
) -> None:
    server.errors = [403]
    with pytest.raises(UserError, match="create_namespaced_job: 403"):
        launcher.start(run, 2, {})
    assert LaunchRecord.read(run) is None
    server.errors = [500]
    with pytest.raises(UserError, match="start again to see whether the job is there"):
        launcher.start(run, 2, {})
    assert LaunchRecord.read(run) is not None


def test_a_refused_service_leaves_no_job(
    run: RunFolder, launcher: KubernetesLauncher, server: ApiServer
) -> None:
    server.refused = "services"
    with pytest.raises(UserError, match=r"create_namespaced_service: 403.*exceeded quota"):
        launcher.start(run, 2, {})
    assert server.objects == {}
    assert LaunchRecord.read(run) is None


def test_an_interrupted_creation_leaves_no_job(
    run: RunFolder, launcher: KubernetesLauncher, server: ApiServer
) -> None:
    launcher.cancel(run)
    launch = launcher.start(run, 2, {})
    launcher.cancel(run)
    assert f"jobs/{launch.record.name}" not in server.objects
    assert LaunchRecord.read(run) is None


def test_a_job_has_not_ended_before_its_pods_have(
    run: RunFolder, launcher: KubernetesLauncher, server: ApiServer
) -> None:
    launch = launcher.start(run, 2, {})
    server.status = {"active": 2, "ready": 2}
    launch.poll.wait_for_end(0.1)
    server.pods = [{"metadata": {"name": "name-0"}, "status": {"phase": "Running"}}]
    server.status = {"active": 1, "ready": 1}
    launch.poll.wait_for_end(0.1)
    assert launch.phase() == "running", "a job that ran is in no queue"
    server.status = {"conditions": [FAILED]}
    assert not launch.poll.wait_for_end(0.1)
    server.objects.clear()
    assert not launch.poll.wait_for_end(0.1)
    server.pods = []
    assert launch.poll.wait_for_end(5)


def test_the_logs_of_a_job_that_is_stopped_are_kept(
    run: RunFolder, launcher: KubernetesLauncher, server: ApiServer
) -> None:
    launch = launcher.start(run, 2, {})
    server.pods = [terminated("name-0")]
    launch.request_stop()
    launch.end()
    assert run.log.read_text().count("what name-0 printed") == 1


def test_an_image_that_cannot_be_pulled_is_told_and_the_job_deleted(
    run: RunFolder, launcher: KubernetesLauncher, server: ApiServer
) -> None:
    launch = launcher.start(run, 2, {})
    pod = terminated("name-0")
    state = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    pod["status"]["containerStatuses"][0]["state"] = state
    server.pods = [pod]
    with pytest.raises(UserError, match="pod name-0 cannot start: ImagePullBackOff: no such image"):
        launch.phase()
    launch.end()
    assert f"jobs/{launch.record.name}" not in server.objects


def test_stacks_are_requested_through_the_run_folder(
    run: RunFolder, launcher: KubernetesLauncher, server: ApiServer
) -> None:
    launch = launcher.start(run, 2, {})
    assert request_file(run).read_text() == ""
    launch.dump_stacks()
    assert request_file(run).read_text() == STACKS


def test_the_role_that_the_page_offers_has_every_right_that_is_used(
    run: RunFolder, launcher: KubernetesLauncher, server: ApiServer, project_root: Path
) -> None:
    import yaml

    text = (project_root / "infra" / "kubernetes" / "launcher-role.yaml").read_text(encoding="utf-8")
    role, _ = yaml.safe_load_all(text)
    rights = {(what, verb) for rule in role["rules"] for what in rule["resources"] for verb in rule["verbs"]}
    launch = launcher.start(run, 2, {})
    server.pods = [terminated("name-0")]
    server.status = {"conditions": [FAILED]}
    assert launch.poll.wait_for_end(5)
    launch.end()
    verbs = {"POST": "create", "GET": "get", "DELETE": "delete"}
    used = set()
    for method, path, _ in server.requests:
        what, *name = path.partition("/namespaces/chem/")[2].split("/")
        used.add(
            ("pods/log", "get") if name[1:] else (what, verbs[method] if name or method == "POST" else "list")
        )
    assert used == rights
