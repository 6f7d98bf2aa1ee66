import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from unimol2_tasks.settings import Unimol2Settings, settings

PREFIX = "PREFECT_INTEGRATIONS_UNIMOL2_"


def test_every_setting_is_a_prefect_setting_of_the_integration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}RETRIES", "7")
    monkeypatch.setenv(f"{PREFIX}GPU_LIMIT", "gpu")
    assert (settings().retries, settings().gpu_limit) == (7, "gpu")
    monkeypatch.setenv(f"{PREFIX}GPU_LIMIT", "")
    assert settings().gpu_limit is None


def test_a_file_beside_the_flows_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "prefect.toml").write_text('[integrations.unimol2]\ncache = "elsewhere"\n')
    monkeypatch.chdir(tmp_path)
    assert settings().cache == Path("elsewhere")


@pytest.mark.parametrize(("name", "value"), [("RETRIES", "-1"), ("RETRY_SECONDS", "0"), ("DOCS_URL", "docs")])
def test_an_impossible_setting_is_refused_by_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(ValidationError, match=name.lower()):
        settings()


def test_the_page_lists_every_setting_with_its_default(project_root: Path) -> None:
    page = (project_root / "docs" / "deployments.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \|.*\| ([^|]+) \|$", page, re.MULTILINE))
    shown = {name.upper(): field.default for name, field in Unimol2Settings.model_fields.items()}
    assert rows.keys() == shown.keys()
    for name, default in shown.items():
        if default is None:
            assert rows[name] in ("none", "for ever")
        else:
            assert rows[name] == f"`{default:g}`" if isinstance(default, float) else f"`{default}`"
