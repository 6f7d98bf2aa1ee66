"""The Terraform files: they parse, refer to what there is, and ask for what a bucket of artifacts needs."""

import re
import shutil
import subprocess
from pathlib import Path
from string import Template
from typing import Any

import hcl2
import pytest


@pytest.fixture(scope="module")
def folder(infra: Path) -> Path:
    return infra / "terraform"


@pytest.fixture(scope="module")
def blocks(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """Every top-level block of every file: its kind and what it holds."""
    found = []
    for file in sorted(folder.glob("*.tf")):
        for kind, entries in hcl2.loads(file.read_text(encoding="utf-8")).items():
            found += [(kind, entry) for entry in entries]
    return found


@pytest.fixture(scope="module")
def source(folder: Path) -> str:
    """All files in one, without comments and descriptions."""
    text = "\n".join(file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.tf")))
    return re.sub(r"^\s*(#|description\s*=).*$", "", text, flags=re.MULTILINE)


def declared(blocks: list[tuple[str, dict[str, Any]]], kind: str) -> set[str]:
    """`a` of `variable "a"`, `type.a` of `resource "type" "a"`."""
    names = set()
    for entry in (entry for found, entry in blocks if found == kind):
        for label, inner in entry.items():
            if kind in ("resource", "data"):
                names |= {f"{label}.{name}".replace('"', "") for name in inner}
            else:
                names.add(label.strip('"'))
    return names


def test_every_variable_that_is_used_is_declared_and_the_other_way_round(
    blocks: list[tuple[str, dict[str, Any]]], source: str
) -> None:
    assert set(re.findall(r"\bvar\.(\w+)", source)) == declared(blocks, "variable")


def test_every_local_that_is_used_is_declared(blocks: list[tuple[str, dict[str, Any]]], source: str) -> None:
    names = {
        name for kind, entry in blocks if kind == "locals" for name in entry if not name.startswith("__")
    }
    assert set(re.findall(r"\blocal\.(\w+)", source)) == names


def test_every_resource_that_is_used_is_declared(
    blocks: list[tuple[str, dict[str, Any]]], source: str
) -> None:
    used = set(re.findall(r"(?<![\w.\"])(aws_\w+\.\w+)", source))
    assert used <= declared(blocks, "resource")
    assert set(re.findall(r"\bdata\.(aws_\w+\.\w+)", source)) == declared(blocks, "data")


def test_every_policy_gets_the_variables_that_it_has(folder: Path, source: str) -> None:
    (given,) = re.findall(r"policy_variables = \{(.*?)\n  \}", source, re.DOTALL)
    names = set(re.findall(r"^\s{4}(\w+)\s*=", given, re.MULTILINE))
    for policy in ("reader", "trainer", "publisher", "bucket"):
        text = (folder / "policies" / f"{policy}.json").read_text(encoding="utf-8")
        assert set(Template(text).get_identifiers()) <= names, policy
    used = set(re.findall(r"policies/([\w${}.]+)\.json", source))
    assert used == {"bucket", "${each.key}", "key", "irsa"}
    assert set(re.findall(r"roles = toset\(\[(.*?)\]\)", source)) == {'"reader", "trainer", "publisher"'}


def resource(blocks: list[tuple[str, dict[str, Any]]], kind: str, name: str = "store") -> str:
    """What a resource holds, as text without spaces and quotes."""
    for found, entry in blocks:
        for label, inner in entry.items():
            if found == "resource" and label.strip('"') == kind:
                held = {key.strip('"'): value for key, value in inner.items()}
                if name in held:
                    return re.sub(r"[\s'\"]", "", str(held[name]))
    raise AssertionError(f"no {kind}.{name}")


def test_the_bucket_is_private_encrypted_and_versioned(blocks: list[tuple[str, dict[str, Any]]]) -> None:
    access = resource(blocks, "aws_s3_bucket_public_access_block")
    for setting in (
        "block_public_acls",
        "block_public_policy",
        "ignore_public_acls",
        "restrict_public_buckets",
    ):
        assert f"{setting}:True" in access
    assert "object_ownership:BucketOwnerEnforced" in resource(blocks, "aws_s3_bucket_ownership_controls")
    assert "AES256" in resource(blocks, "aws_s3_bucket_server_side_encryption_configuration")
    assert "status:Enabled" in resource(blocks, "aws_s3_bucket_versioning")
    assert "prevent_destroy:True" in resource(blocks, "aws_s3_bucket")


def test_what_nobody_sees_any_more_is_removed(blocks: list[tuple[str, dict[str, Any]]]) -> None:
    lifecycle = resource(blocks, "aws_s3_bucket_lifecycle_configuration")
    assert "days_after_initiation:7" in lifecycle
    assert "noncurrent_days:${var.noncurrent_days}" in lifecycle
    assert "prefix:${var.prefixes.work}/" in lifecycle
    # Nothing that is published ever expires.
    assert lifecycle.count("expiration:[{days:") == 1


def test_gpu_nodes_are_optional_and_marked_as_the_job_template_expects(
    blocks: list[tuple[str, dict[str, Any]]], infra: Path
) -> None:
    nodes = resource(blocks, "aws_eks_node_group", "gpu")
    assert "var.gpu_nodes==null?0:1" in nodes
    template = (infra / "kubernetes" / "base-job-template.json").read_text(encoding="utf-8")
    assert "accelerator:nvidia" in nodes
    assert '"accelerator": "nvidia"' in template
    assert "key:nvidia.com/gpu" in nodes
    assert '"key": "nvidia.com/gpu"' in template
    assert "http_tokens:required" in resource(blocks, "aws_launch_template", "gpu_node")


def test_the_example_gives_values_to_variables_that_exist(
    folder: Path, blocks: list[tuple[str, dict[str, Any]]]
) -> None:
    example = hcl2.loads((folder / "terraform.tfvars.example").read_text(encoding="utf-8"))
    assert {name for name in example if not name.startswith("__")} <= declared(blocks, "variable")


def test_the_names_of_roles_are_never_too_long(
    folder: Path, blocks: list[tuple[str, dict[str, Any]]], source: str
) -> None:
    """IAM: 64 characters."""
    text = (folder / "variables.tf").read_text(encoding="utf-8")
    (bucket,) = (int(found) for found in re.findall(r"length\(var\.bucket\) <= (\d+)", text))
    (account,) = (int(found) for found in re.findall(r"length\(name\) <= (\d+)", text))
    assert bucket + len("-") + account <= 64
    roles = re.findall(r'^\s+name\s+= "\$\{var\.bucket\}-(.*)"$', source, re.MULTILINE)
    assert "${each.key}" in roles
    assert all(bucket + len("-") + len(role) <= 64 for role in roles)
    example = hcl2.loads((folder / "terraform.tfvars.example").read_text(encoding="utf-8"))
    accounts = example["irsa"]["service_accounts"]
    assert all(len(name.strip('"')) <= account for name in accounts)


def test_flows_get_a_role_whichever_of_their_accounts_they_have(folder: Path, infra: Path) -> None:
    """As many as the job template's default and its description name."""
    template = (infra / "kubernetes" / "base-job-template.json").read_text(encoding="utf-8")
    accounts = set(re.findall(r"unimol2-(?:flow|launcher)\b", template.split('"service_account_name": {')[1]))
    assert accounts == {"unimol2-flow", "unimol2-launcher"}
    for name in ("variables.tf", "terraform.tfvars.example"):
        text = (folder / name).read_text(encoding="utf-8")
        for account in accounts:
            assert re.search(rf'{account}\s*= \["reader", "trainer", "publisher"\]', text), (name, account)


def test_the_files_are_formatted(folder: Path) -> None:
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not on this machine")
    done = subprocess.run(["terraform", "fmt", "-check", "-diff", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
