"""Prefect's own tests of blocks, and what ours make of their fields."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites.blocks import BlockStandardTestSuite
from pydantic import ValidationError

from unimol2_tasks.blocks import ArtifactStore, LaunchProfile, place, store_of
from unimol2_tasks.blocks.pages import LOGO, page
from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params import Params, parse_params

DOCS_URL = "PREFECT_INTEGRATIONS_UNIMOL2_DOCS_URL"


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and keeps silent about it."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that it has
        pass


@pytest.fixture(scope="module")
def docs(project_root: Path) -> Iterator[str]:
    """Where the pages of `docs/` are served."""
    server = HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=project_root / "docs"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class StandardTests(BlockStandardTestSuite):
    """Prefect's, for a block whose documentation is served."""

    kind: type[Block]

    @pytest.fixture
    def block(self, docs: str, monkeypatch: pytest.MonkeyPatch) -> type[Block]:
        monkeypatch.setenv(DOCS_URL, docs)
        monkeypatch.setattr(self.kind, "_logo_url", page(LOGO))
        monkeypatch.setattr(self.kind, "_documentation_url", page("deployments/#blocks"))
        return self.kind


class TestArtifactStore(StandardTests):
    kind = ArtifactStore


class TestLaunchProfile(StandardTests):
    kind = LaunchProfile


del StandardTests, BlockStandardTestSuite


def test_a_block_links_to_the_pages_only_where_they_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DOCS_URL, raising=False)
    assert page(LOGO) is None
    monkeypatch.setenv(DOCS_URL, "https://docs.example.org/unimol2")
    assert str(page(LOGO)) == "https://docs.example.org/unimol2/logo.png"


def test_relative_addresses_lie_below_the_root() -> None:
    bucket = ArtifactStore(root="s3://bucket/team/")
    assert place("screens/dataset", bucket) == "s3://bucket/team/screens/dataset"
    assert place("s3://other/dataset", bucket) == "s3://other/dataset"
    assert place("/data/dataset", bucket) == "/data/dataset"
    assert place("screens", ArtifactStore(root="/mnt/shared")) == "/mnt/shared/screens"
    assert place("screens", None) == "screens"


def test_the_cache_is_the_blocks_else_the_machines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PREFECT_INTEGRATIONS_UNIMOL2_CACHE", str(tmp_path / "machine"))
    assert store_of(None).cache == tmp_path / "machine"
    assert ArtifactStore(root="runs").store().cache == tmp_path / "machine"
    assert ArtifactStore(root="runs", cache=tmp_path / "own").store().cache == tmp_path / "own"


def test_a_secret_is_not_shown() -> None:
    block = ArtifactStore(root="s3://bucket", access_key="key", secret_key="planted")  # type: ignore[arg-type]
    assert "planted" not in repr(block)
    assert "planted" not in block.model_dump_json()
    assert block.store().s3.secret == "planted"


def test_a_profile_says_all_that_launching_needs() -> None:
    profile = LaunchProfile(
        ranks=16,
        launcher="slurm",
        nodes=2,
        gpus_per_node=8,
        time_limit=24,
        environment={"NCCL_DEBUG": "WARN"},
        slurm={"partition": "gpu"},  # type: ignore[arg-type]
        grace_seconds=120,
    )
    params = profile.apply(Params())
    assert (params.pretrain.ranks, params.launch.nodes, params.launch.gpus_per_node) == (16, 2, 8)
    assert params.launch.slurm.partition == "gpu"
    assert params.launch.environment == {"NCCL_DEBUG": "WARN"}
    assert (params.launch.time_limit, params.supervision.grace_seconds) == (24, 120)
    assert params.model == Params().model


def test_a_profile_shares_out_only_the_batches_that_are_trained() -> None:
    profile, params = LaunchProfile(ranks=64, threads=2), parse_params({"pretrain": {"batch_size": 1024}})
    pretraining = profile.apply(params, "pretrain")
    assert (pretraining.pretrain.ranks, pretraining.pretrain.threads) == (64, 2)
    assert pretraining.finetune == params.finetune
    with pytest.raises(ParameterError, match=r"64 ranks.*finetune: batch_size 32 is not a multiple"):
        profile.apply(params, "finetune")
    with pytest.raises(ParameterError, match="finetune"):
        profile.apply(params)


def test_a_profile_leaves_how_often_a_scheduler_is_asked() -> None:
    params = parse_params({"launch": {"poll_seconds": 1.5}})
    assert LaunchProfile(ranks=2).apply(params).launch.poll_seconds == 1.5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ranks": 2, "nodes": 2}, "nodes=2 needs launcher slurm or kubernetes"),
        ({"ranks": 3, "nodes": 2, "launcher": "slurm"}, "ranks=3 is not a multiple of launch.nodes=2"),
        (
            {"ranks": 4, "gpus_per_node": 2, "launcher": "slurm"},
            "4 ranks per node share launch.gpus_per_node=2",
        ),
        ({"ranks": 1, "launcher": "kubernetes"}, r"needs kubernetes\.image"),
        ({"ranks": 0}, "greater than or equal to 1"),
    ],
)
def test_a_profile_that_cannot_be_launched_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        LaunchProfile(**fields)
