"""A GPU as a global concurrency limit: local trainings that share it wait for each other."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency

from unimol2_tasks.errors import UserError
from unimol2_tasks.params import LaunchParams
from unimol2_tasks.settings import settings


@contextmanager
def training_slot(launch: LaunchParams) -> Iterator[None]:
    """Hold a slot of the limit that the setting `gpu_limit` names, if it does and training is local.

    Raises:
        UserError: There is no such limit.
        TimeoutError: No slot became free within `gpu_wait_seconds`.
        httpx.HTTPError: The server cannot be reached or failed; worth repeating where it may come back.
    """
    limit = settings().gpu_limit
    if limit is None or launch.launcher != "local":
        yield
        return
    with ExitStack() as held:
        try:
            held.enter_context(_slot(limit))
        except ConcurrencySlotAcquisitionError as error:
            # Prefect wraps whatever went wrong; a limit that is missing is all that has no cause.
            if error.__cause__ is not None:
                raise error.__cause__ from None
            raise UserError(
                f"global concurrency limit {limit} does not exist; `prefect gcl create {limit} --limit 1` "
                "makes it, or unset PREFECT_INTEGRATIONS_UNIMOL2_GPU_LIMIT"
            ) from None
        yield


def _slot(limit: str) -> AbstractContextManager[None]:
    return concurrency(
        limit,
        timeout_seconds=settings().gpu_wait_seconds,
        strict=True,
        # A server that is away for a moment must not end days of training.
        raise_on_lease_renewal_failure=False,
    )
