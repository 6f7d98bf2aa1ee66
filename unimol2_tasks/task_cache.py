"""Cache keys of the Prefect tasks: content, parameters, code; nothing else."""

import hashlib
import json
from pathlib import Path
from typing import Any

from prefect.context import TaskRunContext
from pydantic import BaseModel

from unimol2_tasks.artifacts.manifest import MANIFEST, ArtifactRef, sha256_of
from unimol2_tasks.artifacts.s3 import is_s3
from unimol2_tasks.blocks import ArtifactStore, place
from unimol2_tasks.versions import code_version

# Blocks say how to reach a place, not what is there; they hold secrets besides.
_IGNORED = frozenset({"store"})


def cache_key(context: TaskRunContext, parameters: dict[str, Any]) -> str | None:
    """The key under which a task's result is kept, or None: not to be served from the cache.

    A result is a reference; where the artifact itself is no longer at `out`, the reference is worthless
    and the task has to run. A table on S3 may change under its address, and a revision come to name
    another commit, so the stage itself looks whether its work is done. S3 artifacts are never removed by us,
    their digest is part of their address.
    """
    store, table = parameters.get("store"), parameters.get("table")
    out, refit = (_placed(parameters.get(name), store) for name in ("out", "refit"))
    for made in (out, refit):
        if made is not None and not is_s3(made) and not _is_there(Path(made)):
            return None
    if (isinstance(table, str) and is_s3(table)) or parameters.get("rev") is not None:
        return None
    content = {name: _content(value) for name, value in parameters.items() if name not in _IGNORED} | {
        "out": out,
        "refit": refit,
    }
    text = json.dumps([context.task.name, code_version(), content], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def remembered(ref: ArtifactRef) -> ArtifactRef:
    """Keep the result of the task run that is going on under the key that the next run will ask for.

    Prefect computes the key before the run, when the artifact is not there yet. Outside of a task nothing
    happens.

    Returns:
        The reference with a text of its own for `kind`. Prefect takes values at one address for one result,
        and would draw tasks as depending on each other because they share an interned text.
    """
    ref = ref.model_copy(update={"kind": ref.kind[:1] + ref.kind[1:]})
    context = TaskRunContext.get()
    if context is not None and context.task.cache_key_fn is not None:
        key = cache_key(context, context.parameters)
        if key is not None:
            context.result_store.write(ref, key=key)
    return ref


def _placed(address: str | None, store: ArtifactStore | None) -> str | None:
    return None if address is None else place(address, store)


def _is_there(out: Path) -> bool:
    return (out / MANIFEST).is_file() or out.is_file()


def _content(value: Any) -> Any:
    """What a parameter means, as plain JSON: artifacts by digest, local files by sha256."""
    if isinstance(value, ArtifactRef):
        return value.digest
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {key: _content(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_content(inner) for inner in value]
    if isinstance(value, str) and not is_s3(value) and len(value) < 1000 and Path(value).is_file():
        return sha256_of(Path(value))
    return value
