"""`params.yaml` as typed models: unknown keys and impossible values are refused by name.

Each section of the file is one model here. They are read once, at the door (command line, Prefect
flow), and travel as frozen values; nothing deeper reads a file of settings.
"""

from unimol2_tasks.params.file import Params, load_params, parse_params
from unimol2_tasks.params.finetuning import BestBy, FinetuneParams
from unimol2_tasks.params.inference import EvaluateParams, PredictParams
from unimol2_tasks.params.launch import KubernetesParams, LaunchParams, SlurmParams, SupervisionParams
from unimol2_tasks.params.prepare import PrepareParams, SplitKind
from unimol2_tasks.params.search import Range, SearchParams
from unimol2_tasks.params.section import Section
from unimol2_tasks.params.study import Counted, StudyParams
from unimol2_tasks.params.training import ModelParams, PretrainParams, TrainingParams

__all__ = [
    "BestBy",
    "Counted",
    "EvaluateParams",
    "FinetuneParams",
    "KubernetesParams",
    "LaunchParams",
    "ModelParams",
    "Params",
    "PredictParams",
    "PrepareParams",
    "PretrainParams",
    "Range",
    "SearchParams",
    "Section",
    "SlurmParams",
    "SplitKind",
    "StudyParams",
    "SupervisionParams",
    "TrainingParams",
    "load_params",
    "parse_params",
]
