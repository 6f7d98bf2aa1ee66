"""What other files say about the project's own files."""

import tomllib
from pathlib import Path


def test_the_image_copies_files_that_exist_and_all_that_the_wheel_packs(project_root: Path) -> None:
    lines = (project_root / "infra" / "docker" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = {name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]}
    assert all((project_root / name).exists() for name in copied)
    project = tomllib.loads((project_root / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    packed = {*wheel["packages"], *wheel["force-include"]}
    assert all(any(Path(name).is_relative_to(folder) for folder in copied) for name in packed)


def test_every_pinned_version_satisfies_the_lower_bounds(project_root: Path) -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    pins = dict(
        line.split("==")
        for line in (project_root / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    )
    pinned = {canonicalize_name(name): version for name, version in pins.items()}
    project = tomllib.loads((project_root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [text for group in project["optional-dependencies"].values() for text in group]
    for requirement in map(Requirement, [*project["dependencies"], *extras]):
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"{name} is not in constraints.txt"
        assert requirement.specifier.contains(pinned[name]), name
