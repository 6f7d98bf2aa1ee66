"""How tasks are cached and repeated."""

from typing import Any

from prefect.tasks import exponential_backoff

from unimol2_tasks.settings import settings
from unimol2_tasks.task_cache import cache_key
from unimol2_tasks.tasks.repeating import worth_repeating

_SETTINGS = settings()

REPEATED: dict[str, Any] = {
    "retries": _SETTINGS.retries,
    "retry_delay_seconds": exponential_backoff(_SETTINGS.retry_seconds),
    # Machines that lost the same server must not all come back at once.
    "retry_jitter_factor": 1.0,
    "retry_condition_fn": worth_repeating,
}
"""Options of every task that reaches for what may be away for a moment."""

STEP: dict[str, Any] = {
    "cache_key_fn": cache_key,
    "persist_result": True,
    # The default is pickle.
    "result_serializer": "json",
    **REPEATED,
}
"""Options of every task that makes an artifact."""
