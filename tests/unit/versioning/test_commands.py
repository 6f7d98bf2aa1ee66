"""DVC's commands, and what they say."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from unimol2_tasks.errors import UserError
from unimol2_tasks.versioning import commands, reproduce, run_dvc

STAGE = "stages: {make: {cmd: echo made > made.txt, outs: [made.txt]}}\n"


def test_secrets_in_what_dvc_prints_are_blotted_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(
        _command: Sequence[str],
        _folder: Path,
        _env: Mapping[str, str],
        say: Callable[[str], None],
        _mark: None,
    ) -> int:
        say("ERROR: https://me:hunter2@data.example.org/files: 403\nhttps://hunter2@data.example.org")
        return 1

    monkeypatch.setattr(commands, "run_owned", fail)
    lines: list[str] = []
    with pytest.raises(UserError, match=r"https://\*\*\*@data\.example\.org/files: 403") as caught:
        run_dvc(tmp_path, ["pull"], lines.append)
    assert "hunter2" not in f"{caught.value}{lines}"


def test_the_stage_of_another_folder_can_be_reproduced_alone(dvc_repository: Path) -> None:
    (dvc_repository / "dvc.yaml").write_text(STAGE)
    (dvc_repository / "study").mkdir()
    (dvc_repository / "study" / "dvc.yaml").write_text(STAGE)
    assert reproduce(dvc_repository, ["study/dvc.yaml:make"]) == {}
    assert (dvc_repository / "study" / "made.txt").read_text() == "made\n"
    assert list(reproduce(dvc_repository, ["make"])) == ["make"]
