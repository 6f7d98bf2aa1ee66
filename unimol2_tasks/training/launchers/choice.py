"""Which launcher a job's parameters ask for."""

from unimol2_tasks.training.job import Job
from unimol2_tasks.training.launchers.kubernetes import KubernetesLauncher
from unimol2_tasks.training.launchers.launcher import Launcher
from unimol2_tasks.training.launchers.local import LocalLauncher
from unimol2_tasks.training.launchers.slurm import SlurmLauncher


def launcher_for(job: Job) -> Launcher:
    """The launcher of a job; prediction and embedding always run here, in one process."""
    params, grace = job.params.launch, job.params.supervision.grace_seconds
    if job.kind not in ("pretrain", "finetune"):
        return LocalLauncher(distributed=False)
    if params.launcher == "slurm":
        return SlurmLauncher(params, grace)
    if params.launcher == "kubernetes":
        return KubernetesLauncher(params, grace, folders=tuple(filter(None, (job.dataset, job.model))))
    return LocalLauncher(distributed=True)
