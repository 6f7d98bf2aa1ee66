"""The threat model names a test for each threat; all of them exist."""

import re
from pathlib import Path

import pytest


def rows(project_root: Path) -> list[list[str]]:
    text = (project_root / "docs" / "security.md").read_text(encoding="utf-8")
    table = text.split("## Threats", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in table.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_threat_has_a_defence_and_a_test_that_exists(project_root: Path) -> None:
    threats = rows(project_root)
    assert len(threats) > 10
    for threat, defence, shown in threats:
        assert threat
        assert defence
        tests = re.findall(r"`(tests/[^`]+)`", shown)
        assert tests, threat
        for named in tests:
            path, _, function = named.partition("::")
            source = (project_root / path).read_text(encoding="utf-8")
            assert f"def {function}(" in source if function else "def test_" in source, named


@pytest.mark.parametrize("wanted", ["pickle", "checkpoint", "../", "formula", "secret", "table"])
def test_the_known_dangers_are_among_them(project_root: Path, wanted: str) -> None:
    assert any(wanted in threat.lower() for threat, _, _ in rows(project_root))
