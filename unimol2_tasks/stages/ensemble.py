"""An ensemble: predictors that differ in seed or fold become one, which answers with their mean."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import LocalArtifact, Recipe, Store
from unimol2_tasks.errors import UserError
from unimol2_tasks.stages.ensemble_tables import write_tables
from unimol2_tasks.training.continuation import MOVES_WORK
from unimol2_tasks.training.network import CONFIG, MEMBERS, TARGETS, WEIGHTS, read_targets
from unimol2_tasks.training.predictor_files import OUT_OF_FOLD, VALIDATION

_TELLING = ("seed", "fold")
"""The parameters of fine-tuning in which members differ, and by which they are named."""
_MEMBER_FILES = (WEIGHTS, CONFIG, TARGETS, VALIDATION, "metrics.json", "curve.csv", "deepspeed.json")


def run(members: Sequence[str], out: str, store: Store = Store()) -> ArtifactRef:
    """Join published predictors of a single training each.

    Args:
        members: Folders or `s3://` addresses.
        out: Where the ensemble goes.
        store: How they are reached.

    Raises:
        UserError: They cannot answer as one: other labels, another dataset, model or parameters than seed
            and fold, folds of some alone, twice the same, or ensembles themselves; says which of them, and
            in what.
    """
    named = _named([store.fetch(uri, "predictor") for uri in members])
    _refuse_folds_of_some(named)
    _refuse_other_labels(named)
    recipe = recipe_of(
        {
            name: Recipe("predictor", artifact.manifest.params, artifact.manifest.parents)
            for name, artifact in named.items()
        }
    )
    found = store.find(recipe, out)
    if found is not None:
        return found
    with store.draft(out) as draft:
        for name, artifact in named.items():
            _copy(artifact.path, draft / MEMBERS / name)
        first = next(iter(named.values()))
        shutil.copyfile(first.path / TARGETS, draft / TARGETS)
        folders = {name: artifact.path for name, artifact in named.items()}
        write_tables(draft, folders, several_folds=_has_several_folds(named))
        return store.publish(draft, out, recipe)


def member_name(seed: int, fold: int | None) -> str:
    """`seed-1`, or where a fold was kept for testing `fold-0-seed-1`."""
    return f"seed-{seed}" if fold is None else f"fold-{fold}-seed-{seed}"


def recipe_of(members: Mapping[str, Recipe]) -> Recipe:
    """What determines an ensemble: what its members have in common, and the seed and fold of each.

    Not where their work was done (`training.continuation.MOVES_WORK`): some of them may have been trained by
    a later start, on other machines.

    Raises:
        UserError: They differ in more.
    """
    common = {name: _without_telling(member) for name, member in members.items()}
    (first, expected), *others = common.items()
    for name, values in others:
        differing = sorted(key for key in expected | values if values.get(key) != expected.get(key))
        if differing:
            raise UserError(
                f"member {name} differs from {first} in {', '.join(differing)}: an ensemble joins trainings "
                f"of the same dataset and model that differ in {' and '.join(_TELLING)} alone"
            )
    recipe = members[first]
    own = {*_TELLING, *MOVES_WORK}
    shared = {key: value for key, value in recipe.params["finetune"].items() if key not in own}
    telling = {
        name: {key: member.params["finetune"][key] for key in _TELLING} for name, member in members.items()
    }
    return Recipe("predictor", recipe.params | {"finetune": shared, "members": telling}, recipe.parents)


def _without_telling(recipe: Recipe) -> dict[str, Any]:
    """What members must share, flat: parents, and parameters by section and key."""
    values = {
        f"{section}.{key}": value
        for section, entries in recipe.params.items()
        for key, value in entries.items()
        if section != "finetune" or key not in {*_TELLING, *MOVES_WORK}
    }
    return values | dict(recipe.parents)


def _named(artifacts: Sequence[LocalArtifact]) -> dict[str, LocalArtifact]:
    """The members by name, in the order of folds and seeds."""
    if not artifacts:
        raise UserError("an ensemble needs at least one member")
    named: dict[tuple[int, int], LocalArtifact] = {}
    for artifact in artifacts:
        if (artifact.path / MEMBERS).is_dir():
            raise UserError(f"{artifact.uri}: is an ensemble already; join its members' trainings instead")
        finetune = artifact.manifest.params["finetune"]
        key = (-1 if finetune["fold"] is None else finetune["fold"], finetune["seed"])
        if key in named:
            raise UserError(
                f"{artifact.uri} and {named[key].uri}: both are {member_name(key[1], finetune['fold'])}; "
                "members differ in seed or fold"
            )
        named[key] = artifact
    return {member_name(seed, None if fold < 0 else fold): named[fold, seed] for fold, seed in sorted(named)}


def _refuse_folds_of_some(named: Mapping[str, LocalArtifact]) -> None:
    """What one was trained on another was tested with, and nothing could be said of how good they are."""
    without = [artifact.uri for artifact in named.values() if _fold(artifact) is None]
    folded = [artifact.uri for artifact in named.values() if _fold(artifact) is not None]
    if without and folded:
        raise UserError(
            f"{folded[0]} was trained with finetune.fold and {without[0]} without; an ensemble joins "
            "trainings that all have a fold, or none"
        )


def _refuse_other_labels(named: Mapping[str, LocalArtifact]) -> None:
    described = {
        name: [(target.name, target.kind, target.scaling) for target in read_targets(artifact.path).targets]
        for name, artifact in named.items()
    }
    (first, expected), *others = described.items()
    for name, targets in others:
        if targets != expected:
            raise UserError(
                f"{named[name].uri} predicts {_listed(targets)}, but {named[first].uri} "
                f"{_listed(expected)}; an ensemble joins predictors of the same labels"
            )


def _listed(targets: Sequence[tuple[str, str, str]]) -> str:
    return ", ".join(f"{name} ({kind}, scaling {scaling})" for name, kind, scaling in targets)


def _has_several_folds(named: Mapping[str, LocalArtifact]) -> bool:
    return len({_fold(artifact) for artifact in named.values()}) > 1


def _fold(artifact: LocalArtifact) -> int | None:
    fold: int | None = artifact.manifest.params["finetune"]["fold"]
    return fold


def _copy(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for name in (*_MEMBER_FILES, OUT_OF_FOLD):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
