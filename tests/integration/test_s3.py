import csv
import io
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.integration.prefect_servers import free_port
from unimol2_tasks import versioning
from unimol2_tasks.artifacts import s3_artifacts
from unimol2_tasks.artifacts.manifest import MANIFEST, ArtifactRef, Rows
from unimol2_tasks.artifacts.s3 import S3Options
from unimol2_tasks.artifacts.single_file import find_file, publish_file
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.blocks import ArtifactStore
from unimol2_tasks.errors import ArtifactError

BUCKET = "unimol2"
RECIPE = Recipe("model", {"seed": 0})


@pytest.fixture
def client(s3_environment: str) -> Any:
    return boto3.client("s3")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(cache=tmp_path / "cache")


@pytest.fixture
def prefix(request: pytest.FixtureRequest, s3_environment: str) -> str:
    return f"{s3_environment}/{request.node.name}"


def publish(store: Store, prefix: str, recipe: Recipe = RECIPE, seconds: float = 0) -> ArtifactRef:
    with store.draft(prefix) as draft:
        (draft / "inner").mkdir()
        (draft / "inner" / "weights.bin").write_bytes(b"0123456789")
        return store.publish(draft, prefix, recipe, run={"seconds": seconds})


def key_of(uri: str) -> str:
    return uri.removeprefix(f"s3://{BUCKET}/")


def keys(client: Any, prefix: str) -> list[str]:
    found = client.list_objects_v2(Bucket=BUCKET, Prefix=key_of(prefix))
    return [entry["Key"] for entry in found.get("Contents", ())]


def in_threads(work: Callable[[int], object], count: int = 2) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_what_is_published_is_found_fetched_and_verified(store: Store, prefix: str, client: Any) -> None:
    assert store.find(RECIPE, prefix) is None
    ref = publish(store, prefix)
    assert ref.uri == f"{prefix}/model/{ref.digest}"
    assert keys(client, prefix) == [
        key_of(f"{ref.uri}/inner/weights.bin"),
        key_of(f"{ref.uri}/{MANIFEST}"),
    ]
    assert store.find(RECIPE, prefix) == ref
    assert store.find(Recipe("model", {"seed": 1}), prefix) is None
    for address in (ref.uri, prefix, f"{prefix}/"):
        fetched = store.fetch(address, "model", ref.digest)
        assert fetched.ref == ref
        assert (fetched.path / "inner" / "weights.bin").read_bytes() == b"0123456789"


def test_an_interrupted_upload_is_no_artifact_and_is_finished_by_the_next(
    store: Store, prefix: str, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_connection(*_: object) -> None:
        raise ConnectionResetError("connection lost")

    with monkeypatch.context() as patch:
        patch.setattr(s3_artifacts, "create_object", lose_connection)
        with pytest.raises(ArtifactError, match="S3 failed: connection lost"):
            publish(store, prefix)
    assert len(keys(client, prefix)) == 1
    assert store.find(RECIPE, prefix) is None
    with pytest.raises(ArtifactError, match=r"no artifact there \(no manifest\.json\)"):
        store.fetch(prefix)
    assert store.fetch(publish(store, prefix).uri).manifest.kind == "model"


def test_of_two_publishers_at_once_both_succeed_and_one_manifest_is_created(
    store: Store, prefix: str, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(2)
    create_object = s3_artifacts.create_object

    def create_together(*arguments: Any) -> None:
        together.wait(timeout=30)
        create_object(*arguments)

    refs: list[ArtifactRef] = []
    with monkeypatch.context() as patch:
        patch.setattr(s3_artifacts, "create_object", create_together)
        in_threads(lambda number: refs.append(publish(store, prefix, seconds=number)))
    assert len(refs) == 2
    assert refs[0] == refs[1]
    manifest = {"Bucket": BUCKET, "Key": key_of(f"{refs[0].uri}/{MANIFEST}")}
    winner = client.get_object(**manifest)["Body"].read()
    assert publish(store, prefix, seconds=3) == refs[0]
    assert client.get_object(**manifest)["Body"].read() == winner


def test_two_readers_may_fetch_the_same_artifact_into_one_cache(
    store: Store, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = publish(store, prefix)
    together = threading.Barrier(2)
    sync_tree = s3_artifacts.sync_tree

    def sync_together(folder: Path) -> None:
        sync_tree(folder)
        together.wait(timeout=30)

    monkeypatch.setattr(s3_artifacts, "sync_tree", sync_together)
    fetched: list[ArtifactRef] = []
    in_threads(lambda _: fetched.append(store.fetch(ref.uri).ref))
    assert fetched == [ref, ref]
    assert [path.name for path in (store.cache / "model").iterdir()] == [ref.digest]


def test_a_damaged_object_is_named_by_its_address(store: Store, prefix: str, client: Any) -> None:
    ref = publish(store, prefix)
    key = key_of(f"{ref.uri}/inner/weights.bin")
    client.put_object(Bucket=BUCKET, Key=key, Body=b"0123456788")
    with pytest.raises(ArtifactError, match=f"s3://{BUCKET}/{key}: damaged: sha256 differs"):
        store.fetch(prefix)
    client.delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(ArtifactError, match=f"s3://{BUCKET}/{key}: not found"):
        store.fetch(prefix)
    assert not list(store.cache.rglob(MANIFEST))


def test_several_artifacts_below_a_prefix_are_listed(store: Store, prefix: str) -> None:
    refs = [publish(store, prefix, Recipe("model", {"seed": seed})) for seed in (0, 1)]
    with pytest.raises(ArtifactError, match="holds 2 artifacts; name one of") as refusal:
        store.fetch(prefix)
    assert all(ref.uri in str(refusal.value) for ref in refs)


def test_a_missing_bucket_is_noticed_before_the_work(store: Store, s3_environment: str) -> None:
    for attempt in (
        lambda: store.find(RECIPE, "s3://elsewhere/runs"),
        lambda: store.fetch("s3://elsewhere/runs"),
        lambda: store.digest("s3://elsewhere/table.csv"),
        lambda: find_file(store, RECIPE, "s3://elsewhere/predictions.csv"),
    ):
        with pytest.raises(
            ArtifactError, match=r"^s3://elsewhere/\S+: not found; check bucket, key and endpoint$"
        ):
            attempt()


def test_an_unreachable_server_is_named(tmp_path: Path) -> None:
    port = free_port()
    options = S3Options(f"http://127.0.0.1:{port}", "key", "secret", "us-east-1")
    with pytest.raises(ArtifactError, match=rf"s3://unimol2/runs: S3 failed: .*{port}"):
        Store(options, tmp_path).fetch("s3://unimol2/runs")


def test_a_single_file_is_published_once_and_never_over_somebody_elses(
    store: Store, prefix: str, client: Any
) -> None:
    recipe, out = Recipe("predictions", {}), f"{prefix}/predictions.csv"
    client.put_object(Bucket=BUCKET, Key=key_of(out), Body=b"mine")
    with pytest.raises(ArtifactError, match="exists and was not made by this command"):
        find_file(store, recipe, out)
    client.delete_object(Bucket=BUCKET, Key=key_of(out))
    assert find_file(store, recipe, out) is None
    with store.draft(out) as draft:
        (draft / "predictions.csv").write_text("row\n1\n")
        ref = publish_file(store, draft, out, recipe, Rows(rows_in=1, out=1, rejects=0))
    assert find_file(store, recipe, out) == ref
    client.put_object(Bucket=BUCKET, Key=key_of(out), Body=b"edited")
    with pytest.raises(ArtifactError, match="was changed since it was made"):
        find_file(store, recipe, out)


def test_the_block_alone_reaches_the_server(
    s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    block = ArtifactStore(
        root=f"s3://{BUCKET}",
        endpoint_url=s3_endpoint,
        region="us-east-1",
        access_key="key",
        secret_key="secret",  # type: ignore[arg-type]  # pydantic makes it a SecretStr
        cache=tmp_path / "cache",
    )
    assert "secret" not in repr(block).replace("secret_key", "")
    prefix = f"s3://{BUCKET}/block"
    ref = publish(block.store(), prefix)
    assert block.store().fetch(prefix).ref == ref


def test_the_steps_work_from_bucket_to_bucket(
    tmp_path: Path,
    prefix: str,
    client: Any,
    run_command: Callable[..., Any],
    tiny_table: Path,
    tiny_params_file: Path,
    tiny_predictor: ArtifactRef,
) -> None:
    table, params = f"{prefix}/tables/molecules.csv", ("--params", str(tiny_params_file))
    client.upload_file(str(tiny_table), BUCKET, key_of(table))
    prepare = ("unimol2", "prepare", "--input", table, "--out", f"{prefix}/runs", *params)
    first = run_command(*prepare, cwd=tmp_path)
    uri, kind, digest = first.stdout.strip().split("\t")
    assert uri == f"{prefix}/runs/{kind}/{digest}"
    assert run_command(*prepare, cwd=tmp_path).stdout == first.stdout
    assert "40 in = 40 out + 0 rejects" in run_command("unimol2", "verify", uri, cwd=tmp_path).stdout

    training = ("--set", "pretrain.steps=2", "--set", "pretrain.ranks=1", *params)
    run_command(
        "unimol2",
        "pretrain",
        "--dataset",
        f"{prefix}/runs",
        "--out",
        f"{prefix}/runs",
        *training,
        cwd=tmp_path,
    )
    model = Store(cache=tmp_path / "fresh").fetch(f"{prefix}/runs", "model")
    assert model.manifest.parents == {"dataset": digest}

    predictor, out = upload(tiny_predictor, f"{prefix}/predictors"), f"{prefix}/predictions.csv"
    run_command(
        "unimol2",
        "predict",
        "--predictor",
        predictor.uri,
        "--input",
        table,
        "--out",
        out,
        *params,
        cwd=tmp_path,
    )
    text = client.get_object(Bucket=BUCKET, Key=key_of(out))["Body"].read().decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["id"] for row in rows] == [f"m{number}" for number in range(40)]
    assert all(float(row["prediction:weight"]) for row in rows)


def upload(ref: ArtifactRef, prefix: str) -> ArtifactRef:
    """Publish a local artifact on S3."""
    store = Store()
    local = store.fetch(ref.uri)
    recipe = replace(
        RECIPE, kind=local.manifest.kind, params=local.manifest.params, parents=local.manifest.parents
    )
    with store.draft(prefix) as draft:
        shutil.copytree(local.path, draft, dirs_exist_ok=True)
        (draft / MANIFEST).unlink()
        return store.publish(draft, prefix, recipe)


@pytest.mark.parametrize(
    "arguments",
    [
        ("prepare", "--input", "s3://elsewhere/molecules.csv", "--out", "runs"),
        ("prepare", "--input", "{table}", "--out", "s3://elsewhere/runs"),
        ("pretrain", "--dataset", "s3://unimol2/nothing/here", "--out", "model"),
    ],
)
def test_a_wrong_address_is_one_readable_message(
    arguments: tuple[str, ...],
    s3_environment: str,
    tmp_path: Path,
    run_command: Callable[..., Any],
    tiny_table: Path,
) -> None:
    done = run_command(
        "unimol2", *(part.format(table=tiny_table) for part in arguments), cwd=tmp_path, code=2
    )
    assert not done.stdout
    assert "Traceback" not in done.stderr
    message = done.stderr[done.stderr.index("unimol2:") :].strip()
    assert message.count("\n") == 0
    assert "s3://" in message
    assert any(part in message for part in ("check bucket, key and endpoint", "no dataset there"))


def test_dvc_keeps_and_brings_back_data_over_the_same_server(
    s3_endpoint: str, s3_environment: str, dvc_project: Path, run_command: Callable[..., Any]
) -> None:
    (dvc_project / "dvc.yaml").write_text("stages: {make: {cmd: echo 42 > answer.txt, outs: [answer.txt]}}\n")
    for arguments in (
        ["remote", "add", "--default", "store", f"{s3_environment}/dvc"],
        ["remote", "modify", "store", "endpointurl", s3_endpoint],
    ):
        run_command("dvc", *arguments, cwd=dvc_project)
    lines: list[str] = []
    assert list(versioning.reproduce(dvc_project, say=lines.append)) == ["make"]
    assert any("Running stage 'make'" in line for line in lines)
    versioning.push(dvc_project)
    (dvc_project / "answer.txt").unlink()
    shutil.rmtree(dvc_project / ".dvc" / "cache")
    versioning.pull(dvc_project)
    assert (dvc_project / "answer.txt").read_text() == "42\n"
