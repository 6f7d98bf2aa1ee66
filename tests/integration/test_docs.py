"""The commands and the Python of four pages, run as they stand there, one after the other in one folder."""

import csv
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest
import yaml
from fenced_blocks import ROOT, Block, blocks_of

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.params import Params

PAGES = ("quick-start", "data-scientist", "evaluation", "prediction")
"""In this order: each goes on with what those before it have made."""
ELSEWHERE = ("s3://", "tcp://", "https://")
"""What is not on this machine: buckets, clusters, the internet."""


@dataclass
class Reader:
    """Somebody who types what the pages say, in one terminal."""

    root: Path
    folder: Path
    done: list[str] = field(default_factory=list)

    def read(self, page: str) -> None:
        """Run the blocks of a page, after those of the pages before it."""
        for name in PAGES[: PAGES.index(page) + 1]:
            if name not in self.done:
                self.done.append(name)
                self.run_all(blocks_of(ROOT / "docs" / f"{name}.md"))

    def run_all(self, blocks: list[Block]) -> None:
        here = [block for block in blocks if not block.reason and not any(w in block.text for w in ELSEWHERE)]
        for block in here:
            if block.language == "bash":
                # As in a terminal, `cd` holds for the blocks that follow.
                shown = self._run(["bash", "-euo", "pipefail", "-c", f"{block.text}\npwd >&2\n"], block)
                self.folder = Path(shown.stderr.splitlines()[-1])
        code = [block for block in here if block.language == "python"]
        if code:
            # The blocks of a page are cells of one notebook; in a file, for the processes that import it.
            script = self.folder / f"{Path(code[0].page).stem.replace('-', '_')}.py"
            script.write_text("\n".join(block.text for block in code), encoding="utf-8")
            self._run([sys.executable, script.name], code[0])

    def _run(self, words: list[str], block: Block) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path}
        result = subprocess.run(
            words, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, f"{block}\n{block.text}\n{result.stdout}{result.stderr}"
        return result


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, tiny_params: Params, tiny_model: ArtifactRef) -> Reader:
    """A clone with a few of the embedded molecules and a demo's model, and parameters that take seconds."""
    root = tmp_path_factory.mktemp("clone")
    (root / "data" / "demo").mkdir(parents=True)
    for name, every in (("labelled", 40), ("library", 40)):
        with (ROOT / "data" / "demo" / f"{name}.csv").open(encoding="utf-8", newline="") as source:
            header, *rows = list(csv.reader(source))
        with (root / "data" / "demo" / f"{name}.csv").open("w", encoding="utf-8", newline="") as target:
            csv.writer(target).writerows([header, *rows[::every]])
    screen = root / "screen"  # which the quick start makes
    screen.mkdir()
    (screen / "params.yaml").write_text(yaml.safe_dump(tiny_params.model_dump(mode="json")), encoding="utf-8")
    shutil.copytree(tiny_model.uri, root / "runs" / "demo" / "model")
    return Reader(root, root)


def rows(table: Path) -> int:
    return len(table.read_text(encoding="utf-8").splitlines()) - 1


def test_quick_start(reader: Reader) -> None:
    reader.read("quick-start")
    first = reader.root / "screen" / "runs" / "first"
    assert (first / "dataset" / "statistics.html").is_file()
    assert (first / "report" / "report.html").is_file()
    assert rows(first / "predictions.csv") == rows(reader.root / "data" / "demo" / "library.csv")


def test_data_scientist(reader: Reader) -> None:
    reader.read("data-scientist")
    runs = reader.root / "screen" / "runs"
    assert (runs / "gap-report" / "report.html").is_file()
    assert pl.read_parquet(runs / "embeddings.parquet").height == rows(runs / "predictions.csv")


def test_evaluation(reader: Reader) -> None:
    reader.read("evaluation")
    report = reader.root / "screen" / "runs" / "report-beside-scratch"
    named = [path.name for path in report.iterdir()]
    assert {"metrics.json", "intervals.json", "groups.json", "coverage.json", "predictions.csv"} <= {*named}


def test_prediction(reader: Reader) -> None:
    reader.read("prediction")
    runs = reader.root / "screen" / "runs"
    wide, narrow = (pl.read_csv(runs / name) for name in ("p95.csv", "predictions.csv"))
    assert wide["prediction:gap_eV"].to_list() == narrow["prediction:gap_eV"].to_list()
    assert pl.read_parquet(runs / "atoms.parquet").height > narrow.height


def test_splits_of_ones_own(reader: Reader) -> None:
    reader.run_all([block for block in blocks_of(ROOT / "docs" / "data.md") if "split_file=" in block.text])
    for name in ("by-column", "by-file"):
        splits = pl.read_parquet(reader.folder / "runs" / name / "splits.parquet")
        assert splits["split"].to_list() == ["train", "train", "valid", "test"]
