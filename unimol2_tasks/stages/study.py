"""The scaling study: networks of many sizes, pretrained alike; the largest predicted from the rest."""

import logging
from dataclasses import dataclass
from itertools import pairwise

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params import ModelParams, Params, StudyParams
from unimol2_tasks.stages import pretrain, scaling
from unimol2_tasks.stages.scaling_results import report as study_report
from unimol2_tasks.stages.scaling_results.figures import size_names
from unimol2_tasks.training.network import model_config
from unimol2_tasks.training.size import count_parameters

logger = logging.getLogger(__name__)
_FEWEST_FITTED = 2


@dataclass(frozen=True, slots=True)
class Rung:
    """One network of the ladder."""

    name: str
    """Its size for people and for folders, such as 0.508M, with as many digits as tell it from the others."""
    parameters: int
    params: Params
    """What it is pretrained with."""
    held_out: bool
    """It is predicted, and has no part in the fit."""


def ladder(params: Params) -> list[Rung]:
    """The networks of `params.study`, smallest first; what a size leaves out is as in `params.model`.

    Raises:
        ParameterError: A size is impossible, two are equally large, or too few are left for the fit.
    """
    study = params.study
    if len(study.sizes) < study.held_out + _FEWEST_FITTED:
        raise ParameterError(
            f"study.sizes: {len(study.sizes)} networks, of which {study.held_out} held out "
            f"(study.held_out); at least {_FEWEST_FITTED} must be left for the fit: add sizes"
        )
    counted = sorted(
        ((_parameters(params.model, size, place), place) for place, size in enumerate(study.sizes)),
    )
    for (parameters, place), (following, other) in pairwise(counted):
        if parameters == following:
            raise ParameterError(
                f"study.sizes.{place} and study.sizes.{other}: two networks of {parameters:,} parameters; "
                "leave one out"
            )
    names = size_names(parameters / 1e6 for parameters, _ in counted)
    fitted = len(counted) - study.held_out
    return [
        Rung(
            names[parameters / 1e6], parameters, _alike(params, study.sizes[place]), held_out=number >= fitted
        )
        for number, (parameters, place) in enumerate(counted)
    ]


def run(params: Params, dataset: str, out: str, store: Store = Store()) -> ArtifactRef:
    """Pretrain every network, fit the law to the smaller ones, and judge it on those held out.

    Started again it finds what is finished and goes on with the rest. Below `out`: `models/SIZE`, `law`,
    `report`, which is returned.

    Args:
        params: `model`, `pretrain` and `study` count here.
        dataset: A dataset's folder or `s3://` address.
        out: A folder or `s3://` prefix.
        store: Where artifacts live.

    Raises:
        ParameterError: See `ladder`.
        UserError: The dataset is missing or damaged, or the curves are too few for a fit.
        TrainingFailed: Training ended without a result; started again, it goes on.
    """
    rungs = ladder(params)
    models = {}
    for number, rung in enumerate(rungs, start=1):
        logger.info("%s: %d of %d networks, %s parameters", rung.name, number, len(rungs), rung.parameters)
        inputs = pretrain.PretrainInputs(dataset)
        models[rung.name] = pretrain.run(rung.params, inputs, model_place(out, rung), store).uri
    fitted = [models[rung.name] for rung in rungs if not rung.held_out]
    held_out = [models[rung.name] for rung in rungs if rung.held_out]
    place = out.rstrip("/")
    law = scaling.run(scaling.ScalingInputs.of(params.study, fitted, held_out), f"{place}/law", store)
    return study_report.run(law.uri, f"{place}/report", store)


def model_place(out: str, rung: Rung) -> str:
    """Where the study's model of one size goes."""
    return f"{out.rstrip('/')}/models/{rung.name}"


def _alike(params: Params, size: ModelParams) -> Params:
    """The study's parameters for one network; the study itself is no part of them."""
    return params.model_copy(update={"model": _merged(params.model, size), "study": StudyParams()})


def _merged(model: ModelParams, size: ModelParams) -> ModelParams:
    return model.model_copy(update={name: getattr(size, name) for name in size.model_fields_set})


def _parameters(model: ModelParams, size: ModelParams, place: int) -> int:
    try:
        return count_parameters(model_config(_merged(model, size)))
    except ParameterError as error:
        raise ParameterError(f"study.sizes.{place}: {error}") from None
