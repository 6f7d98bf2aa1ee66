import json
from pathlib import Path
from typing import Any

import pytest

from unimol2_tasks.artifacts.manifest import (
    Manifest,
    Rows,
    build_manifest,
    dump,
    read_manifest,
    verify_files,
)
from unimol2_tasks.errors import ArtifactError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "weights.bin").write_bytes(b"0123456789")
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def build(folder: Path, **changes: Any) -> Manifest:
    values: dict[str, Any] = {"params": {"seed": 0}, "parents": {"table": "ab"}, "code_version": "1"}
    return build_manifest(folder, "model", **(values | changes))


def altered(manifest: Manifest, **changes: Any) -> str:
    return json.dumps(json.loads(dump(manifest)) | changes)


def test_the_digest_does_not_depend_on_what_happened_while_it_was_made(folder: Path) -> None:
    assert build(folder, run={"seconds": 1.0}).digest == build(folder, run={"seconds": 2.0}).digest


@pytest.mark.parametrize(
    "changes", [{"params": {"seed": 1}}, {"parents": {"table": "cd"}}, {"code_version": "2"}]
)
def test_the_digest_and_the_fingerprint_depend_on_what_it_was_made_from(
    folder: Path, changes: dict[str, Any]
) -> None:
    assert build(folder, **changes).digest != build(folder).digest
    assert build(folder, **changes).fingerprint != build(folder).fingerprint


def test_the_digest_depends_on_every_byte_and_name(folder: Path) -> None:
    before = build(folder)
    (folder / "parts" / "weights.bin").write_bytes(b"0123456780")
    changed = build(folder)
    (folder / "config.json").rename(folder / "settings.json")
    renamed = build(folder)
    assert len({before.digest, changed.digest, renamed.digest}) == 3
    assert before.fingerprint == renamed.fingerprint


def test_a_manifest_survives_being_stored(folder: Path) -> None:
    manifest = build(
        folder, rows=Rows(rows_in=3, out=2, rejects=1), params={"learning_rate": 1e-16, "names": ["é", None]}
    )
    assert read_manifest(dump(manifest), "here") == manifest
    assert json.loads(dump(manifest))["rows"] == {"in": 3, "out": 2, "rejects": 1}


def test_lost_rows_are_refused(folder: Path) -> None:
    with pytest.raises(ArtifactError, match="10 went in, 8 came out, 1 were rejected"):
        build(folder, rows=Rows(rows_in=10, out=8, rejects=1))


def test_another_schema_version_is_named_even_where_its_keys_are_unknown(folder: Path) -> None:
    text = altered(build(folder), schema_version=2, colour="blue")
    with pytest.raises(ArtifactError, match=r"runs/model: schema version 2, this release reads 1"):
        read_manifest(text, "runs/model")


@pytest.mark.parametrize("text", [b'{"kind": "model", "dig', b"\xff\xfe\x00", b"[]", b""])
def test_half_a_manifest_is_named_as_damaged(text: bytes) -> None:
    with pytest.raises(ArtifactError, match=r"runs/model: damaged: not a manifest in JSON"):
        read_manifest(text, "runs/model")


def test_an_unknown_kind_is_named_by_its_key(folder: Path) -> None:
    with pytest.raises(ArtifactError, match=r"runs/model: not a valid manifest: kind"):
        read_manifest(altered(build(folder), kind="sculpture"), "runs/model")


def test_a_manifest_that_somebody_edited_is_noticed(folder: Path) -> None:
    text = altered(build(folder), params={"seed": 7})
    with pytest.raises(ArtifactError, match="digest does not fit"):
        read_manifest(text, "runs/model")


@pytest.mark.parametrize("path", ["../elsewhere.bin", "/etc/passwd", "parts/../../elsewhere.bin"])
def test_a_manifest_cannot_place_files_outside_its_folder(folder: Path, path: str) -> None:
    files = [{"path": path, "size": 1, "sha256": "0" * 64}]
    with pytest.raises(ArtifactError, match="leads out of the artifact"):
        read_manifest(altered(build(folder), files=files), "runs/model")


def test_a_truncated_file_is_named_with_both_sizes(folder: Path) -> None:
    manifest = build(folder)
    (folder / "parts" / "weights.bin").write_bytes(b"01234")
    with pytest.raises(ArtifactError, match=r"parts/weights\.bin: damaged: 5 bytes, the manifest says 10"):
        verify_files(folder, manifest)


def test_a_flipped_bit_is_found(folder: Path) -> None:
    manifest = build(folder)
    (folder / "parts" / "weights.bin").write_bytes(b"0123456788")
    with pytest.raises(ArtifactError, match=r"parts/weights\.bin: damaged: sha256 differs"):
        verify_files(folder, manifest)


def test_a_missing_file_is_named(folder: Path) -> None:
    manifest = build(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ArtifactError, match=r"config\.json: missing"):
        verify_files(folder, manifest)
