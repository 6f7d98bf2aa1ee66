"""What each role may do in the bucket, and what it may not."""

import json
from pathlib import Path
from string import Template
from typing import Any, get_args

import pytest
from iam_policies import Request, allowed

from unimol2_tasks.artifacts.manifest import Kind

BUCKET = "arn:aws:s3:::store"
DIGEST = "0123456789abcdef" * 4
ARTIFACT = f"artifacts/screens/model/{DIGEST}"
CHECKPOINT = "artifacts/demo/model/.checkpoints/model-0123456789abcdef/step-000000012"
TLS = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}
CREATE = {**TLS, "s3:ObjectCreationOperation": "true"}
CREATE_ONCE = {**CREATE, "s3:if-none-match": "*"}
PART = {**TLS, "s3:ObjectCreationOperation": "false"}
ROLES = ("reader", "trainer", "publisher", "worker")

Policies = dict[str, list[dict[str, Any]]]


def who_may(policies: Policies, action: str, key: str, context: dict[str, str] = TLS) -> set[str]:
    request = Request(f"s3:{action}", f"{BUCKET}/{key}" if key else BUCKET, context)
    return {role for role in policies if allowed(policies[role], request)}


@pytest.mark.parametrize(
    "key",
    [
        "tables/measured.csv",
        f"{ARTIFACT}/manifest.json",
        f"artifacts/model/{DIGEST}/config.json",
        "dvc/files/md5/00/1",
    ],
)
def test_every_role_reads_what_is_published_and_nobody_else_does(policies: Policies, key: str) -> None:
    assert who_may(policies, "GetObject", key) == set(ROLES)


@pytest.mark.parametrize("prefix", ["tables/", "artifacts", "artifacts/screens/model/", "dvc/files/"])
def test_every_role_lists_what_is_published(policies: Policies, prefix: str) -> None:
    assert who_may(policies, "ListBucket", "", {**TLS, "s3:prefix": prefix}) == set(ROLES)


@pytest.mark.parametrize("context", [TLS, {**TLS, "s3:prefix": ""}, {**TLS, "s3:prefix": "secrets/"}])
def test_nobody_lists_the_rest_of_the_bucket(policies: Policies, context: dict[str, str]) -> None:
    assert who_may(policies, "ListBucket", "", context) == set()
    assert who_may(policies, "GetObject", "secrets/key") == set()


@pytest.mark.parametrize("action", ["PutObject", "DeleteObject", "AbortMultipartUpload"])
@pytest.mark.parametrize(
    "key",
    [
        f"{CHECKPOINT}/manifest.json",
        f"{CHECKPOINT}/layer.pt",
        "work/prepare-1/built/0",
        # Beside the output, where flows share work unless they are told another place.
        "artifacts/.work/prepare-1/built/0",
        "artifacts/screens/.work/predictions-1/predicted/0",
    ],
)
def test_who_trains_keeps_and_removes_unfinished_work(policies: Policies, action: str, key: str) -> None:
    able = who_may(policies, action, key, CREATE)
    assert able >= {"trainer", "worker"}
    assert "reader" not in able
    assert who_may(policies, "DeleteObject", key) == {"trainer", "worker"}


@pytest.mark.parametrize(
    "key", [f"{ARTIFACT}/manifest.json", f"{ARTIFACT}/model.safetensors", "artifacts/predictions.csv"]
)
def test_who_only_trains_or_reads_publishes_nothing(policies: Policies, key: str) -> None:
    for context in (CREATE, CREATE_ONCE, PART):
        assert who_may(policies, "PutObject", key, context) <= {"publisher", "worker"}


@pytest.mark.parametrize("kind", ["dataset", "model", "predictor", "search", "report", "law"])
@pytest.mark.parametrize("out", ["artifacts", "artifacts/screens", "artifacts/a/b/c"])
def test_a_manifest_is_created_and_never_overwritten(policies: Policies, kind: str, out: str) -> None:
    manifest = f"{out}/{kind}/{DIGEST}/manifest.json"
    assert who_may(policies, "PutObject", manifest, CREATE_ONCE) == {"publisher", "worker"}
    assert who_may(policies, "PutObject", manifest, CREATE) == set()
    # Beginning and sending parts has no header for it; what counts is how the upload is completed.
    assert who_may(policies, "PutObject", manifest, PART) == {"publisher", "worker"}


def test_the_manifests_of_all_kinds_of_folders_are_guarded(infra: Path) -> None:
    # Predictions and embeddings are single files with a manifest beside them.
    kinds = set(get_args(Kind)) - {"predictions", "embeddings"}
    for name in ("publisher", "bucket"):
        text = (infra / "terraform" / "policies" / f"{name}.json").read_text(encoding="utf-8")
        assert all(f"/*{kind}/${{digest}}/manifest.json" in text for kind in kinds)


@pytest.mark.parametrize("action", ["DeleteObject", "DeleteObjectVersion"])
@pytest.mark.parametrize("name", ["manifest.json", "model.safetensors"])
def test_nobody_removes_what_is_published(policies: Policies, action: str, name: str) -> None:
    assert who_may(policies, action, f"{ARTIFACT}/{name}") == set()


def test_only_administrators_remove_manifests_and_old_versions(policies: Policies) -> None:
    everything = {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    both = [policies["nobody"][0], everything]
    for name, admitted in (("storage-administrator", True), ("power-user", False)):
        who = {**TLS, "aws:PrincipalArn": f"arn:aws:iam::111122223333:role/{name}"}
        for action, key in (
            ("DeleteObject", f"{ARTIFACT}/manifest.json"),
            ("DeleteObjectVersion", "dvc/files/1"),
        ):
            assert allowed(both, Request(f"s3:{action}", f"{BUCKET}/{key}", who)) == admitted


@pytest.mark.parametrize(
    "context", [{**TLS, "aws:SecureTransport": "false"}, {**TLS, "s3:TlsVersion": "1.1"}]
)
def test_nothing_goes_over_an_open_or_outdated_connection(
    policies: Policies, context: dict[str, str]
) -> None:
    assert who_may(policies, "GetObject", "tables/measured.csv", context) == set()


@pytest.mark.parametrize(
    "action",
    ["PutBucketPolicy", "DeleteBucket", "PutBucketVersioning", "PutObjectAcl", "BypassGovernanceRetention"],
)
def test_no_role_changes_the_bucket(policies: Policies, action: str) -> None:
    assert who_may(policies, action, "") == set()
    assert who_may(policies, action, f"{ARTIFACT}/manifest.json") == set()


def test_a_service_account_is_told_from_all_others(infra: Path) -> None:
    issuer = "oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE"
    text = Template((infra / "terraform" / "policies" / "irsa.json").read_text(encoding="utf-8"))
    subject = "system:serviceaccount:chem:unimol2-launcher"
    values = {
        "provider": f"arn:aws:iam::111122223333:oidc-provider/{issuer}",
        "issuer": issuer,
        "subject": subject,
    }
    (statement,) = json.loads(text.substitute(values))["Statement"]
    assert statement["Condition"] == {
        "StringEquals": {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": subject}
    }
