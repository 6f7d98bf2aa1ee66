"""The stages of a project, one by one and in the order of what they need."""

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unimol2_tasks.errors import UserError
from unimol2_tasks.versioning.commands import run_dvc
from unimol2_tasks.versioning.owned_process import Say
from unimol2_tasks.versioning.reproduction import Outcome, StageResult

_PIPELINE = "dvc.yaml"


def stages_in_order(project: Path, targets: Sequence[str] = ()) -> list[str]:
    """The stages that are to be looked at, each after those that it needs.

    Args:
        project: The folder with `.dvc` and `dvc.yaml`.
        targets: Stages, or files like `studies/dvc.yaml`; none: those of `dvc.yaml`.

    Raises:
        UserError: A target is not there, or a `dvc.yaml` is refused by DVC.
    """
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

    with _opened(project) as repo:
        wanted = collect_stages(repo, [_target(project, target) for target in targets or (_PIPELINE,)])
        steps = plan_repro(get_active_graph(repo.index.graph), wanted)
        return [_address(project, stage) for stage in steps if stage.cmd]


def reproduce_stage(
    project: Path, stage: str, say: Say, pull: bool = False, mark: str | None = None
) -> StageResult:
    """Bring one stage up to date, once those that it needs are.

    Its data is fetched only where the stage has to run; that of a stage that is unchanged stays where it is.
    Without `pull` a stage whose results the cache lacks counts as changed: those after it would lack them.

    Args:
        project: The folder with `.dvc`.
        stage: As `stages_in_order` calls it.
        say: Told every line that DVC and the stage print.
        pull: Fetch from the remote what the cache lacks.
        mark: See `owned_process.run_owned`.

    Raises:
        UserError: What the stage needs cannot be had, or DVC or the stage failed; the message holds its last
            lines.
    """
    started = time.monotonic()
    outcome: Outcome = "unchanged"
    needed = _needed(project, stage, pull)
    if needed is not None:
        if needed:
            _fetch(project, stage, needed, say, pull, mark)
        outcome = "restored"
        ran = f"Running stage '{stage}':"

        def tell(line: str) -> None:
            nonlocal outcome
            outcome = "ran" if ran in line else outcome
            say(line)

        options = ["--single-item", *(["--pull"] if pull else [])]
        run_dvc(project, ["repro", *options, "--", stage], tell, mark)
    else:
        say(f"{stage}: unchanged")
    outs, metrics = _made(project, stage)
    seconds = round(time.monotonic() - started, 3)
    return StageResult(stage=stage, outcome=outcome, seconds=seconds, outs=outs, metrics=metrics)


def _fetch(project: Path, stage: str, needed: Sequence[str], say: Say, pull: bool, mark: str | None) -> None:
    """Link the inputs of a stage from the cache; with `pull` what that lacks comes from the remote."""
    try:
        run_dvc(project, ["pull" if pull else "checkout", "--", *needed], say, mark)
    except UserError as error:
        instead = (
            "push it there from where it was made, or leave out `pull` so that what a stage made is made anew"
            if pull
            else "add it to the cache, or give DVC a remote that has it"
        )
        raise UserError(
            f"{stage}: needs {', '.join(needed)}, which cannot be had; {instead}. {error}"
        ) from None


def _needed(project: Path, stage: str, pull: bool) -> list[str] | None:
    """Inputs of a stage that DVC keeps and that are not in the folder; None: the stage is unchanged."""
    with _opened(project) as repo:
        (found,) = repo.stage.collect(_target(project, stage))
        with repo.lock:
            to_be_had = pull or not any(out.use_cache and out.changed_cache() for out in found.outs)
            upstream = list(repo.index.graph.successors(found))
            if not found.changed(allow_missing=to_be_had, upstream=upstream):
                return None
        missing = [Path(dep.fs_path) for dep in found.deps if dep.protocol == "local" and not dep.exists]
        # What is neither there nor kept by DVC is missing in earnest, and DVC says so.
        kept = [path for path in missing if _outs_at(repo, path)]
        return [path.relative_to(project).as_posix() for path in kept]


def _outs_at(repo: Any, path: Path) -> Sequence[Any]:
    from dvc.exceptions import OutputNotFoundError

    try:
        found: Sequence[Any] = repo.find_outs_by_path(str(path), strict=False)
    except OutputNotFoundError:
        return ()
    return found


def _made(project: Path, stage: str) -> tuple[dict[str, str], dict[str, float]]:
    """Hashes of a stage's outputs, and the metrics among them."""
    with _opened(project) as repo:
        (found,) = repo.stage.collect(_target(project, stage))
        paths = {Path(out.fs_path): out.hash_info.value or "" for out in found.outs}
        shown = repo.metrics.show().get("", {}).get("data", {})
    metrics: dict[str, float] = {}
    for name, content in shown.items():
        file = project / name
        if "data" in content and any(file.is_relative_to(path) for path in paths):
            # Not the file's name alone: several outputs may have a `metrics.json`.
            metrics |= _flat(content["data"], f"{file.relative_to(project).as_posix()}:")
    return {path.relative_to(project).as_posix(): value for path, value in paths.items()}, metrics


def _flat(values: Any, name: str) -> dict[str, float]:
    """Numbers of nested metrics by their joined names; what is no number is left out."""
    if isinstance(values, Mapping):
        return {
            key: value
            for inner, content in values.items()
            for key, value in _flat(content, f"{name}{'' if name.endswith(':') else '.'}{inner}").items()
        }
    return {name: float(values)} if isinstance(values, int | float) else {}


def _target(project: Path, target: str) -> str:
    """A target as DVC takes it from any working folder."""
    if target.startswith("-"):
        raise UserError(f"{target!r}: not a stage")
    file, _, name = target.rpartition(":") if ":" in target else ("", "", target)
    if not file and name.endswith((".yaml", ".dvc")):
        return str(project / name)
    return f"{project / (file or _PIPELINE)}:{name}"


def _address(project: Path, stage: Any) -> str:
    """A stage as it is called in the project's folder."""
    file = Path(stage.path).relative_to(project).as_posix()
    return str(stage.name) if file == _PIPELINE else f"{file}:{stage.name}"


@contextmanager
def _opened(project: Path) -> Iterator[Any]:
    """A project through DVC's own eyes."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.WARNING)
    try:
        with Repo(str(project)) as repo:
            yield repo
    except DvcException as error:
        said = str(error).replace(f"{project}{os.sep}", "").replace(os.path.relpath(project), ".")
        raise UserError(f"{project}: {said}") from None
