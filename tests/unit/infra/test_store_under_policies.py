"""The project's own reading, publishing and keeping of checkpoints, where each role's policy is enforced."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from guarded_s3 import GuardedS3

from unimol2_tasks.artifacts.manifest import ArtifactRef, Rows
from unimol2_tasks.artifacts.single_file import find_file, publish_file
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.artifacts.workspace import Workspace
from unimol2_tasks.errors import ArtifactError
from unimol2_tasks.training.job import RunFolder
from unimol2_tasks.training.remote_checkpoints import RemoteCheckpoints

BUCKET = "store"
OUT = f"s3://{BUCKET}/artifacts/screens"
RECIPE = Recipe("model", {"seed": 0})

StoreOf = Callable[[str], Store]
ClientOf = Callable[[str], Any]


def publish(store: Store, recipe: Recipe = RECIPE) -> ArtifactRef:
    with store.draft(OUT) as draft:
        (draft / "inner").mkdir()
        (draft / "inner" / "model.safetensors").write_bytes(b"weights")
        return store.publish(draft, OUT, recipe)


@pytest.mark.parametrize("role", ["publisher", "worker"])
def test_who_publishes_needs_no_more_than_its_policy(role: str, store: StoreOf, guard: GuardedS3) -> None:
    assert store(role).find(RECIPE, OUT) is None
    ref = publish(store(role))
    assert store(role).find(RECIPE, OUT) == ref
    assert publish(store(role)) == ref
    assert guard.refused == []


@pytest.mark.parametrize("role", ["reader", "worker"])
def test_every_role_finds_and_fetches(role: str, store: StoreOf, guard: GuardedS3) -> None:
    ref = publish(store("publisher"))
    for address in (ref.uri, OUT):
        assert store(role).fetch(address, "model", ref.digest).ref == ref
    assert store(role).find(Recipe("model", {"seed": 1}), OUT) is None
    assert guard.refused == []


@pytest.mark.parametrize("role", ["reader", "trainer"])
def test_the_publishing_of_others_is_refused(role: str, store: StoreOf, guard: GuardedS3) -> None:
    assert store(role).find(RECIPE, OUT) is None
    with pytest.raises(ArtifactError, match="access refused"):
        publish(store(role))
    assert {action for _, action, _ in guard.refused} == {"s3:PutObject"}
    with pytest.raises(ArtifactError, match="no model there"):
        store("reader").fetch(OUT, "model")


def test_who_has_no_role_is_told_so_before_the_work(store: StoreOf) -> None:
    with pytest.raises(ArtifactError, match=r"access refused.*check the credentials"):
        store("nobody").find(RECIPE, OUT)


def test_a_publisher_cannot_overwrite_or_remove_a_manifest(store: StoreOf, client: ClientOf) -> None:
    ref = publish(store("publisher"))
    manifest = {"Bucket": BUCKET, "Key": f"{ref.uri.removeprefix(f's3://{BUCKET}/')}/manifest.json"}
    for role in ("publisher", "worker"):
        for attempt in (
            lambda s3: s3.put_object(**manifest, Body=b"{}"),
            lambda s3: s3.put_object(**manifest, Body=b"{}", IfNoneMatch="*"),
            lambda s3: s3.delete_object(**manifest),
            lambda s3: s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": manifest["Key"]}]}),
        ):
            with pytest.raises(ClientError, match=r"AccessDenied|PreconditionFailed"):
                attempt(client(role))
    assert store("reader").fetch(ref.uri).ref == ref


def test_a_large_file_is_uploaded_in_parts_and_may_be_given_up(client: ClientOf, guard: GuardedS3) -> None:
    s3, where = (
        client("publisher"),
        {"Bucket": BUCKET, "Key": f"artifacts/model/{'0' * 64}/model.safetensors"},
    )
    given_up = s3.create_multipart_upload(**where)["UploadId"]
    s3.abort_multipart_upload(**where, UploadId=given_up)
    upload = s3.create_multipart_upload(**where)["UploadId"]
    tag = s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"weights")["ETag"]
    s3.complete_multipart_upload(
        **where, UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]}
    )
    assert guard.refused == []
    with pytest.raises(ClientError, match="AccessDenied"):
        client("reader").create_multipart_upload(**where)


def test_a_publisher_writes_predictions_with_their_manifest(store: StoreOf, guard: GuardedS3) -> None:
    publisher, out = store("publisher"), f"s3://{BUCKET}/artifacts/predictions.csv"
    recipe = Recipe("predictions", {})
    assert find_file(publisher, recipe, out) is None
    with publisher.draft(out) as draft:
        (draft / "predictions.csv").write_text("id,value\n", encoding="utf-8")
        ref = publish_file(publisher, draft, out, recipe, Rows(rows_in=0, out=0, rejects=0))
    assert find_file(store("reader"), recipe, out) == ref
    assert guard.refused == []


@pytest.mark.parametrize("role", ["trainer", "worker"])
def test_who_trains_mirrors_checkpoints_and_removes_them(
    role: str, store: StoreOf, guard: GuardedS3, tmp_path: Path
) -> None:
    run = checkpointed_run(tmp_path / "model-0123456789abcdef")
    remote = RemoteCheckpoints(run, f"{OUT}/model/.checkpoints/{run.path.name}", store(role).s3)
    assert remote.upload("step-000000012", lambda: False)
    assert remote.names() == {"step-000000012": True}
    assert remote.upload("step-000000012", lambda: False)
    remote.remove()
    assert remote.names() == {}
    assert guard.refused == []


def test_who_does_not_train_keeps_no_checkpoints(store: StoreOf, tmp_path: Path) -> None:
    run = checkpointed_run(tmp_path / "model-0123456789abcdef")
    remote = RemoteCheckpoints(run, f"{OUT}/model/.checkpoints/{run.path.name}", store("reader").s3)
    with pytest.raises(ArtifactError, match="access refused"):
        remote.upload("step-000000012", lambda: False)


@pytest.mark.parametrize("role", ["trainer", "worker"])
@pytest.mark.parametrize("work", ["work", "artifacts/.work", "artifacts/screens/.work"])
def test_unfinished_work_is_shared_and_cleared_away(
    work: str, role: str, store: StoreOf, guard: GuardedS3
) -> None:
    workspace = Workspace(f"s3://{BUCKET}/{work}/prepare-0123456789abcdef", store(role))
    for name in ("identified/0", "built/0"):
        with workspace.new(name) as path:
            path.write_text("conformers", encoding="utf-8")
    workspace.discard("identified/0")
    assert workspace.finished() == {"built/0"}
    workspace.remove()
    assert workspace.finished() == set()
    assert guard.refused == []


def checkpointed_run(folder: Path) -> RunFolder:
    run = RunFolder(folder)
    step = run.checkpoints / "step-000000012"
    step.mkdir(parents=True)
    (step / "layer.pt").write_bytes(b"weights")
    (step / "manifest.json").write_text('{"best_step": 12}', encoding="utf-8")
    return run
