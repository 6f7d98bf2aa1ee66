from pathlib import Path
from uuid import uuid4

import pytest
from prefect.context import AssetContext

from unimol2_tasks.artifacts.manifest import ArtifactRef, Manifest, Rows
from unimol2_tasks.tasks.assets import asset_key, materialised

DIGEST = "ab" * 32
MANIFEST = Manifest(
    kind="dataset",
    digest=DIGEST,
    files=(),
    rows=Rows(rows_in=3, out=2, rejects=1),
    code_version="1",
    parents={"table": "cd"},
)


def test_all_versions_of_a_place_are_one_asset() -> None:
    assert asset_key(f"s3://bucket/screens/dataset/{DIGEST}") == "s3://bucket/screens/dataset"
    assert asset_key("s3://bucket/measured.csv") == "s3://bucket/measured.csv"


def test_a_local_place_is_an_asset_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert asset_key("runs/dataset") == f"file://{tmp_path}/runs/dataset"


@pytest.mark.parametrize("name", ["two words", "what?", "50%", "a&b", "x" * 600])
def test_any_name_makes_a_key(name: str, tmp_path: Path) -> None:
    context = AssetContext(task_run_id=uuid4())
    with context:
        ref = ArtifactRef(kind="dataset", uri=str(tmp_path / name), digest=DIGEST)
        materialised(ref, MANIFEST, {"table": "a table.csv"})
    assert len(context.downstream_assets) == 1


def test_an_artifact_is_a_materialisation_with_its_sources_and_figures(tmp_path: Path) -> None:
    context = AssetContext(task_run_id=uuid4())
    with context:
        ref = ArtifactRef(kind="dataset", uri=f"s3://bucket/screens/dataset/{DIGEST}", digest=DIGEST)
        materialised(ref, MANIFEST, {"table": "s3://bucket/measured.csv"}, seconds=3)
    (asset,) = context.downstream_assets
    assert asset.properties is not None
    assert asset.properties.name == "dataset dataset"
    assert [source.key for source in context.upstream_assets] == ["s3://bucket/measured.csv"]
    payload = context.materialization_metadata["s3://bucket/screens/dataset"]
    assert payload["digest"] == DIGEST
    assert payload["rows"] == {"in": 3, "out": 2, "rejects": 1}
    assert payload["seconds"] == 3


def test_without_prefect_nothing_happens() -> None:
    materialised(ArtifactRef(kind="dataset", uri="runs/dataset", digest=DIGEST), MANIFEST, {})
