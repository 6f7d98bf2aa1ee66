"""Which tasks need not run: cache keys of content, parameters and code, offered where the artifact is there.

Prefect asks for a key before each attempt. It gets one only where a reference is remembered under it that
names what is really there; an attempt that has to work remembers what it made under the key of its own start.
"""

import hashlib
import json
import os
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect.context import TaskRunContext
from pydantic import BaseModel

from unimol2_tasks.artifacts.manifest import MANIFEST, ArtifactRef, Manifest, read_manifest
from unimol2_tasks.artifacts.s3 import is_s3, s3_errors
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.blocks import place, store_of
from unimol2_tasks.errors import UserError
from unimol2_tasks.params import Params, PrepareParams
from unimol2_tasks.stages import prepare
from unimol2_tasks.versions import code_version

# Blocks say how to reach a place, not what is there; they hold secrets besides.
_NOT_CONTENT = frozenset({"store", "table", "out"})
_SINGLE_FILES = frozenset({"predictions", "embeddings"})
"""Kinds whose manifest lies beside them."""


@dataclass(frozen=True, slots=True)
class _Start:
    """What an attempt began with."""

    key: str
    read: dict[str, str]
    """Digests of the files that it reads, by the names that artifacts give these parents."""


_started: dict[UUID, _Start] = {}
"""Of the attempts that are going on in this process, by task run."""


def cache_key(context: TaskRunContext, parameters: dict[str, Any]) -> str | None:
    """The key under which the result of a task is remembered, or None: the task has to run.

    A revision may come to name another commit, and of a predictor at `refit` the result says nothing: there
    the stage itself looks whether its work is done.
    """
    _started.pop(context.task_run.id, None)
    if parameters.get("rev") is not None or parameters.get("refit") is not None:
        return None
    store = store_of(parameters.get("store"))
    try:
        start = _start_of(context.task.name, parameters, store)
    except UserError:
        # The stage is about to say so, where that ends the task or has it repeated.
        return None
    if context.result_store.exists(start.key):
        ref = context.result_store.read(start.key).result
        if isinstance(ref, ArtifactRef) and _is_there(ref, store):
            return start.key
    _started[context.task_run.id] = start
    return None


def remembered(ref: ArtifactRef) -> ArtifactRef:
    """Keep the result of the task run that is going on under the key that the next run will ask for.

    That is the key of the attempt's start, whatever has become of its table meanwhile; nothing is kept where
    the stage read another table than the key says. Outside of a task nothing happens.

    Returns:
        The reference with a text of its own for `kind`. Prefect takes values at one address for one result,
        and would draw tasks as depending on each other because they share an interned text.
    """
    ref = ref.model_copy(update={"kind": ref.kind[:1] + ref.kind[1:]})
    context = TaskRunContext.get()
    start = None if context is None else _started.pop(context.task_run.id, None)
    if context is not None and start is not None:
        manifest = _manifest_of(ref, store_of(context.parameters.get("store")))
        if manifest is not None and _was_read(start.read, manifest):
            context.result_store.write(ref, key=start.key)
    return ref


def _start_of(task: str, parameters: dict[str, Any], store: Store) -> _Start:
    out = place(parameters["out"], parameters.get("store"))
    read = _digests(parameters, store)
    content = {name: _content(value) for name, value in parameters.items() if name not in _NOT_CONTENT}
    text = json.dumps([task, code_version(), out, read, content], sort_keys=True)
    return _Start(hashlib.sha256(text.encode()).hexdigest(), read)


def _digests(parameters: dict[str, Any], store: Store) -> dict[str, str]:
    """As the stages take them; only those that read a table read a file of splits."""
    table, params = parameters.get("table"), parameters.get("params")
    if table is None:
        return {}
    return prepare.files_read(params.prepare if isinstance(params, Params) else PrepareParams(), table, store)


def _content(value: Any) -> Any:
    """What a parameter means, as plain JSON; artifacts by digest."""
    if isinstance(value, ArtifactRef):
        return value.digest
    if isinstance(value, Params):
        return value.model_dump(mode="json", exclude={"prepare": {"split_file"}})
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {key: _content(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_content(inner) for inner in value]
    return value


def _was_read(digests: dict[str, str], manifest: Manifest) -> bool:
    return all(manifest.parents.get(name, digest) == digest for name, digest in digests.items())


def _is_there(ref: ArtifactRef, store: Store) -> bool:
    """Whether the very artifact is at its address, as far as its manifest and a single file's size tell."""
    manifest = _manifest_of(ref, store)
    if manifest is None or (manifest.kind, manifest.digest) != (ref.kind, ref.digest):
        return False
    return ref.kind not in _SINGLE_FILES or _size(ref.uri, store) == manifest.files[0].size


def _manifest_of(ref: ArtifactRef, store: Store) -> Manifest | None:
    """What is at the address of a reference; None: nothing that can be read."""
    where = f"{ref.uri}.{MANIFEST}" if ref.kind in _SINGLE_FILES else f"{ref.uri.rstrip('/')}/{MANIFEST}"
    try:
        with s3_errors(where) if is_s3(where) else nullcontext(), store.open(where) as stream:
            return read_manifest(stream.read(), where)
    except UserError:
        return None


def _size(uri: str, store: Store) -> int | None:
    """Bytes of a single file, which is not read for that; None: there is none."""
    try:
        with store.open(uri) as stream:
            return stream.seek(0, os.SEEK_END)
    except UserError:
        return None
