"""The pipeline of docs/embedding.md, as it stands there."""

import importlib.util
import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.params import parse_params

pytestmark = pytest.mark.usefixtures("prefect_home")


@pytest.fixture
def page(project_root: Path, tmp_path: Path) -> ModuleType:
    """The first block of the page as a module."""
    text = (project_root / "docs" / "embedding.md").read_text(encoding="utf-8")
    match = re.search(r"`screening\.py`:\n```python\n(.*?)```", text, re.DOTALL)
    assert match is not None
    path = tmp_path / "screening.py"
    path.write_text(match[1], encoding="utf-8")
    spec = importlib.util.spec_from_file_location("screening", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_library_becomes_a_shortlist_with_a_report(
    page: Any, tmp_path: Path, tiny_predictor: ArtifactRef
) -> None:
    shutil.copytree(tiny_predictor.uri, tmp_path / "predictor")
    library = tmp_path / "library.csv"
    library.write_text("name,smiles\na,CCCO\nb,not a molecule\nc,c1ccncc1C\nd,F[Xe]F\n")
    wanted = page.Wanted(label="weight", low=-100, high=100, widest=1000, similarity=0.2)
    # The tiny predictor has eight validation molecules, too few for intervals of 90 %.
    params = parse_params({"predict": {"coverage": 0.8}})
    out = page.screening(str(tmp_path / "predictor"), str(library), str(tmp_path / "out"), wanted, params)
    lines = Path(out).read_text().splitlines()
    assert lines[0] == "id,smiles,prediction:weight,width,similarity"
    assert {line.split(",")[0] for line in lines[1:]} <= {"a", "c", "d"}
    assert len(lines) > 1
    with get_client(sync_client=True) as client:
        report = next(entry for entry in client.read_artifacts() if entry.key == "shortlist")
    assert "| in the library | 4 |" in report.data
    assert re.search(r"\| could be predicted \| [23] \|", report.data)
