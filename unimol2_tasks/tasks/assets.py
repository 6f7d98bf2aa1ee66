"""Artifacts as Prefect assets: what was materialised from what, in the server's events.

An asset is a place, `file:///runs/model` or `s3://bucket/models/model`; each artifact that is published there
is a materialisation of it, whose payload has the digest. So the history of a place is that of one asset,
also on S3, where every artifact has an address of its own.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect.assets import Asset, AssetProperties
from prefect.context import AssetContext
from prefect.types.names import MAX_ASSET_KEY_LENGTH, RESTRICTED_ASSET_CHARACTERS

from unimol2_tasks.artifacts.manifest import ArtifactRef, Manifest
from unimol2_tasks.artifacts.s3 import is_s3

_MAKER = "unimol2"
_UNFIT = str.maketrans(dict.fromkeys(RESTRICTED_ASSET_CHARACTERS, "_"))
_DIGEST = re.compile(r"/[0-9a-f]{64}/?$")


def asset_key(address: str) -> str:
    """The key of what lies at an address: its URI without digest and what keys must not have."""
    uri = _DIGEST.sub("", address) if is_s3(address) else f"file://{Path(address).absolute()}"
    return uri.translate(_UNFIT)[:MAX_ASSET_KEY_LENGTH]


def materialised(ref: ArtifactRef, manifest: Manifest, made_from: Mapping[str, str], **more: Any) -> None:
    """Tell Prefect that the task run that is going on has made an artifact; outside of one, nothing happens.

    Args:
        ref: What was made.
        manifest: Its manifest.
        made_from: Addresses of artifacts and tables by what they are.
        more: Figures for the event's payload.
    """
    context = AssetContext.get()
    if context is None:
        return
    asset = Asset(
        key=asset_key(ref.uri),
        properties=AssetProperties(name=_name(ref), description=f"Uni-Mol2 {ref.kind}", url=_url(ref.uri)),
    )
    # Addresses are known only now; `@materialize` wants them when the task is defined.
    context.downstream_assets.add(asset)
    # Prefect finds sources by the identity of values, and takes equal short texts for the same one.
    context.upstream_assets.clear()
    context.upstream_assets.update(Asset(key=asset_key(address)) for address in made_from.values())
    context.materialized_by = _MAKER
    rows = None if manifest.rows is None else manifest.rows.model_dump(by_alias=True)
    context.add_asset_metadata(
        asset.key,
        {
            "kind": ref.kind,
            "uri": ref.uri,
            "digest": ref.digest,
            "code_version": manifest.code_version,
            "parents": manifest.parents,
            "rows": rows,
            **more,
        },
    )
    context.update_tracked_assets()


def _name(ref: ArtifactRef) -> str:
    return f"{ref.kind} {_DIGEST.sub('', ref.uri).rstrip('/').rpartition('/')[2]}"


def _url(uri: str) -> str:
    return uri if is_s3(uri) else Path(uri).absolute().as_uri()
