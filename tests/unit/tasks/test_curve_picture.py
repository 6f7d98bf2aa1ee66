import base64
import io
from pathlib import Path

from PIL import Image

from unimol2_tasks.artifacts.manifest import Manifest
from unimol2_tasks.artifacts.store import LocalArtifact
from unimol2_tasks.tasks.curve_picture import curve_picture

HEADER = "step,train/loss,valid/loss\n"


def trained(folder: Path, curve: str) -> LocalArtifact:
    (folder / "curve.csv").write_text(curve)
    manifest = Manifest(kind="model", digest="ab", files=(), code_version="1")
    return LocalArtifact(folder, str(folder), manifest)


def test_a_curve_is_a_picture_that_fits_into_an_artifact(tmp_path: Path) -> None:
    rows = [f"{step},{1 + 9 / step},{5 if step % 50 == 0 else ''}" for step in range(1, 400)]
    picture = curve_picture(trained(tmp_path, HEADER + "\n".join(rows) + "\n"))
    assert picture is not None
    assert len(picture) < 100_000
    kind, _, content = picture.partition(";base64,")
    assert kind == "data:image/png"
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        assert image.width > image.height > 200
        assert len(image.convert("RGB").getcolors(100_000) or []) > 10, "there are lines in it"


def test_without_a_curve_there_is_no_picture(tmp_path: Path) -> None:
    assert curve_picture(trained(tmp_path, HEADER)) is None
