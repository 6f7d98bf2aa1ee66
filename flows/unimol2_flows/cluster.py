"""The Dask cluster that shares the work on molecules, and where it leaves what is unfinished."""

from typing import Any

from pydantic import BaseModel, Field


class DaskCluster(BaseModel):
    """The Dask cluster that works on the units of a preparation or prediction."""

    address: str | None = Field(
        None, description="Scheduler, `tcp://host:8786`; empty: a cluster of this machine."
    )
    workers: int = Field(2, ge=1, description="Processes of a cluster of this machine.")
    work: str | None = Field(
        None, description="Folder or s3:// prefix that every worker reaches; empty: beside `out`."
    )


def beside(out: str) -> str:
    """Where unfinished work waits unless somebody says otherwise."""
    return f"{out.rstrip('/').rpartition('/')[0] or '.'}/.work"


def task_runner(cluster: DaskCluster) -> Any:
    """What Prefect needs to run a flow's tasks there."""
    import dask
    from prefect_dask import DaskTaskRunner

    if cluster.address is not None:
        return DaskTaskRunner(address=cluster.address)
    # A worker starts processes of its own, to end molecules that take too long; daemons must not.
    dask.config.set({"distributed.worker.daemon": False})
    return DaskTaskRunner(cluster_kwargs={"n_workers": cluster.workers, "threads_per_worker": 1})
