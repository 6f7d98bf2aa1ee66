"""The flow that reproduces a DVC project at one revision."""

from pathlib import Path
from typing import Annotated

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact

from unimol2_flows.inputs import asked
from unimol2_tasks import versioning
from unimol2_tasks.errors import UserError
from unimol2_tasks.tasks.reproduce import push_to_remote, reproduce_stage
from unimol2_tasks.versioning import Clone, Reproduction, Source, StageResult

_NO_OPTION = r"^[^\s-]\S*$"

Repository = Annotated[
    str,
    asked(
        "Repository",
        "Folder of a Git repository on the worker, or its https://, ssh:// or user@host: address.",
        pattern=r"^[^-]",
        examples=["https://git.example.org/chemistry/solubility.git"],
    ),
]
Revision = Annotated[
    str, asked("Revision", "Branch, tag or commit; only what is committed counts.", pattern=_NO_OPTION)
]
Targets = Annotated[
    list[str] | None, asked("Stages", "Brought up to date with all that they need; empty: all of dvc.yaml.")
]
Folder = Annotated[str, asked("Folder", "The folder in the repository with .dvc and dvc.yaml.", min_length=1)]
Pull = Annotated[
    bool, asked("Pull", "Fetch what stages that run need, and DVC's cache lacks, from the default remote.")
]
Push = Annotated[bool, asked("Push", "Store the results on the default remote afterwards.")]
CommitBranch = Annotated[
    str | None,
    asked(
        "Branch for the lock file",
        "The new dvc.lock is committed on this branch, which nobody may have checked out; empty: "
        "it is only returned.",
        pattern=_NO_OPTION,
    ),
]
Work = Annotated[
    str,
    asked("Clones", "Folder on the worker for the clone of each run, gone once it is through.", min_length=1),
]
Cache = Annotated[
    str | None,
    asked(
        "DVC cache",
        "Folder that all runs share; empty: that of the repository, or for an address one beside the clones.",
        min_length=1,
    ),
]


@flow(name="unimol2-reproduce", flow_run_name="reproduce {repository} at {rev}", result_serializer="json")
def reproduce(
    repository: Repository,
    rev: Revision = "HEAD",
    targets: Targets = None,
    folder: Folder = ".",
    pull: Pull = True,
    push: Push = False,
    commit_branch: CommitBranch = None,
    work: Work = ".unimol2/reproduce",
    cache: Cache = None,
) -> Reproduction:
    """Run the stages of a DVC project that have changed, in a clone of this run's own.

    The working tree of whoever owns the repository is neither read nor written, so that people and any number
    of runs may work on it at once. A run that failed or was cancelled leaves its clone; the next one of the
    same commit goes on in it.
    """
    source = versioning.find_source(repository, rev, Path(work))
    if commit_branch is not None:
        versioning.refuse_branch(source, commit_branch)
    get_run_logger().info("%s is commit %s", rev, source.commit)
    with versioning.clone_for_run(source, folder, None if cache is None else Path(cache)) as clone:
        if push and not clone.has_remote:
            raise UserError(
                f"{repository}: DVC has no default remote to push to; give it one by `dvc remote default`"
            )
        stages = _stages(clone, targets, pull and clone.has_remote)
        if push:
            push_to_remote(str(clone.project))
        return _result(source, clone, stages, commit_branch)


def _stages(clone: Clone, targets: list[str] | None, pull: bool) -> list[StageResult]:
    names = versioning.stages_in_order(clone.project, targets or ())
    results = [reproduce_stage(str(clone.project), name, pull) for name in names]
    rows = [
        {"stage": result.stage, "outcome": result.outcome, "seconds": result.seconds} for result in results
    ]
    create_table_artifact(rows, key="unimol2-dvc-stages", description=f"Stages at {clone.source.commit}")
    return results


def _result(
    source: Source, clone: Clone, stages: list[StageResult], commit_branch: str | None
) -> Reproduction:
    committed = None
    if commit_branch is not None:
        committed = versioning.commit_lock(clone, commit_branch)
        get_run_logger().info("branch %s is commit %s", commit_branch, committed)
    return Reproduction(
        repository=source.repository,
        commit=source.commit,
        stages=tuple(stages),
        lock=versioning.read_locks(clone.project),
        branch=commit_branch,
        branch_commit=committed,
    )
