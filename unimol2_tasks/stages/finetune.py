"""Fine-tuning: a labelled dataset and a model become a predictor, of one network or of several."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from unimol2_tasks import progress
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.s3 import is_s3
from unimol2_tasks.artifacts.store import LocalArtifact, Recipe, Store
from unimol2_tasks.artifacts.workspace import Workspace
from unimol2_tasks.errors import ArtifactError, UserError
from unimol2_tasks.params import Params
from unimol2_tasks.stages import ensemble
from unimol2_tasks.stages.training_job import train_artifact
from unimol2_tasks.training.continuation import MOVES_WORK, determining
from unimol2_tasks.training.job import Job


@dataclass(frozen=True, slots=True)
class FinetuneInputs:
    """What fine-tuning learns from."""

    dataset: str
    """A labelled dataset's folder or `s3://` address."""
    model: str | None
    """A pretrained model's; none: the network of `params.model` from scratch."""


def run(params: Params, inputs: FinetuneInputs, out: str, store: Store = Store()) -> ArtifactRef:
    """Fine-tune a network, or one per seed and fold, and keep the weights that do best on validation.

    Members of an ensemble are predictors of their own until they are joined. They lie in the work folder,
    or for an `out` on S3 below `<out>-members/`, where they stay; a run that is started again trains only
    those that are not there, with whatever ranks and alike (`training.continuation.MOVES_WORK`) the others
    were trained.

    Raises:
        UserError: Dataset or model is missing or damaged, or a wanted label or fold is not there.
        TrainingFailed: Training ended without a result.
    """
    sources = _Sources.fetched(inputs, store)
    trainings = _members(params, sources.dataset)
    if "" in trainings:
        return sources.train(params, out, store)
    recipe = sources.joined(trainings)
    folder = _members_folder(recipe, out, store)
    ref = store.find(recipe, out)
    if ref is None:
        trained = []
        for number, (name, member) in enumerate(trainings.items()):
            progress.report("members", number, len(trainings), name)
            place = f"{folder}/{name}"
            trained.append(sources.train(as_made(member, place, store), place, store).uri)
        progress.report("members", len(trainings), len(trainings))
        ref = ensemble.run(trained, out, store)
    # On S3 they are artifacts of a bucket whose policy leaves their removal to administrators.
    if not is_s3(out):
        Workspace(folder, store).remove()
    return ref


def members(params: Params, dataset: str, store: Store = Store()) -> dict[str, Params]:
    """The trainings that `params.finetune` asks for, by member.

    Args:
        params: With `seeds`, `fold` and `cross_validate`.
        dataset: The labelled dataset, asked for its number of folds.
        store: How it is reached.

    Returns:
        Parameters of a single training each: `seed-1`, or with folds `fold-0-seed-1`; `{"": params}` where
        a single one is asked for, which is no ensemble.

    Raises:
        UserError: To cross-validate, the dataset has no folds.
    """
    return _members(params, store.fetch(dataset, "dataset"))


def as_made(member: Params, place: str, store: Store = Store()) -> Params:
    """Parameters of a member; those that only say where its work is done as they were where it is made.

    Args:
        member: Of a single training, see `members`.
        place: Where its predictor is, or will be.
        store: How it is reached.
    """
    try:
        made = store.fetch(place, "predictor").manifest.params["finetune"]
    except ArtifactError:
        return member
    where = {key: value for key, value in made.items() if key in MOVES_WORK}
    return member.model_copy(update={"finetune": member.finetune.model_copy(update=where)})


def recipe_of(params: Params, inputs: FinetuneInputs, store: Store = Store()) -> Recipe:
    """What determines the predictor that `run` makes, known before anything is trained.

    Raises:
        UserError: Dataset or model is missing or damaged, or there are no folds to cross-validate.
    """
    sources = _Sources.fetched(inputs, store)
    return sources.joined(_members(params, sources.dataset))


def _members(params: Params, dataset: LocalArtifact) -> dict[str, Params]:
    finetune = params.finetune
    if not finetune.seeds and not finetune.cross_validate:
        return {"": params}
    folds = range(_fold_count(dataset)) if finetune.cross_validate else [finetune.fold]
    trainings = {}
    for fold in folds:
        for seed in finetune.seeds or (finetune.seed,):
            values = {"seed": seed, "fold": fold, "seeds": (), "cross_validate": False}
            single = params.model_copy(update={"finetune": finetune.model_copy(update=values)})
            trainings[ensemble.member_name(seed, fold)] = single
    return trainings


def _fold_count(dataset: LocalArtifact) -> int:
    count = dataset.manifest.params.get("folds")
    if not isinstance(count, int):
        raise UserError(
            f"{dataset.uri}: has no folds, and finetune.cross_validate needs them; prepare it with "
            "prepare.folds, such as 5"
        )
    return count


def _members_folder(recipe: Recipe, out: str, store: Store) -> str:
    if is_s3(out):
        return f"{out.rstrip('/')}-members/{recipe.fingerprint[:16]}"
    return str(store.work_folder(out, recipe))


@dataclass(frozen=True, slots=True)
class _Sources:
    """What fine-tuning learns from, on this machine."""

    dataset: LocalArtifact
    model: LocalArtifact | None

    @classmethod
    def fetched(cls, inputs: FinetuneInputs, store: Store) -> Self:
        """Those of a fine-tuning."""
        dataset = store.fetch(inputs.dataset, "dataset")
        return cls(dataset, None if inputs.model is None else store.fetch(inputs.model, "model"))

    def joined(self, trainings: Mapping[str, Params]) -> Recipe:
        """What determines the predictor of all trainings, which may be a single one."""
        recipes = {name: self.recipe(params) for name, params in trainings.items()}
        return recipes[""] if "" in recipes else ensemble.recipe_of(recipes)

    def recipe(self, params: Params) -> Recipe:
        """What determines the predictor of a single training."""
        parents = {"dataset": self.dataset.manifest.digest}
        if self.model is not None:
            parents["model"] = self.model.manifest.digest
        return Recipe(
            "predictor",
            {"model": params.model.model_dump(mode="json"), "finetune": determining(params.finetune)},
            parents,
        )

    def train(self, params: Params, out: str, store: Store) -> ArtifactRef:
        """The predictor of a single training, made or found."""
        job = Job(
            kind="finetune",
            dataset=self.dataset.path.absolute(),
            model=None if self.model is None else self.model.path.absolute(),
            params=params,
        )
        return train_artifact(job, params.finetune, self.recipe(params), out, store)
