"""What S3 holds of a run: its checkpoints as they are here, one prefix `step-…` each.

Of a checkpoint the manifest is written last, so that without one it counts for nothing.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unimol2_tasks.artifacts.drafts import draft_in, sync, sync_tree
from unimol2_tasks.artifacts.manifest import MANIFEST
from unimol2_tasks.artifacts.s3 import S3Options, open_s3, s3_errors
from unimol2_tasks.errors import ArtifactError
from unimol2_tasks.training.checkpoint_files import damage, read_manifest
from unimol2_tasks.training.job import RunFolder


@dataclass(slots=True)
class RemoteCheckpoints:
    """The checkpoints of one run on S3; every method raises `ArtifactError` where S3 fails.

    Attributes:
        run: The run; its `best` weights, where fine-tuning keeps some, go along.
        uri: `s3://…`, a prefix that belongs to this run alone.
        options: How S3 is reached.
    """

    run: RunFolder
    uri: str
    options: S3Options
    _best_written: int = 0
    _fs: Any = None

    def names(self) -> dict[str, bool]:
        """All of them, and whether each is finished."""
        root = f"{_key(self.uri)}/"
        with self._s3(self.uri) as fs:
            keys = {key.removeprefix(root) for key in fs.find(self.uri)}
        names = {key.split("/")[0] for key in keys}
        return {name: f"{name}/{MANIFEST}" in keys for name in names if name.startswith("step-")}

    def upload(self, name: str, interrupted: Callable[[], bool]) -> bool:
        """Copy one checkpoint from here; False where it was removed here meanwhile, or was interrupted."""
        source, target = self.run.checkpoints / name, f"{self.uri}/{name}"
        try:
            with self._s3(target) as fs:
                return self._upload(fs, source, target, interrupted)
        except ArtifactError:
            if source.exists():
                raise
            return False

    def download(self, name: str) -> str | None:
        """Place a checkpoint among those here if it verifies; returns what is wrong with it otherwise.

        A damaged one loses its manifest, so that its step is uploaded anew. Its files stay: another machine
        may be uploading them again, and would finish a checkpoint that lacks some.
        """
        source = f"{self.uri}/{name}"
        with self._s3(source) as fs, draft_in(self.run.path) as draft:
            if not fs.exists(f"{source}/{MANIFEST}"):
                return "it is not finished"
            problem = _get_checkpoint(fs, source, draft)
            if problem is not None:
                fs.rm_file(f"{source}/{MANIFEST}")
                return problem
            self._download_best(fs)
            sync_tree(draft)
            self.run.checkpoints.mkdir(exist_ok=True)
            draft.rename(self.run.checkpoints / name)
            sync(self.run.checkpoints)
        return None

    def prune(self, newest: str, keep: int) -> None:
        """Remove what is older than `newest`, except the best and of the finished ones the newest `keep`.

        Args:
            newest: A finished one, whose manifest says which is the best.
            keep: How many stay, `newest` among them.
        """
        with self._s3(f"{self.uri}/{newest}") as fs:
            best = json.loads(fs.cat_file(f"{self.uri}/{newest}/{MANIFEST}"))["best_step"]
        older = {name: finished for name, finished in self.names().items() if name < newest}
        finished = [newest, *sorted((name for name in older if older[name]), reverse=True)]
        for name in older.keys() - {*finished[:keep], f"step-{best:09d}"}:
            self.remove(name)

    def remove(self, name: str = "") -> None:
        """Remove one checkpoint; without a name, everything."""
        target = f"{self.uri}/{name}".rstrip("/")
        with self._s3(target) as fs:
            if fs.exists(target):
                fs.rm(target, recursive=True)

    @contextmanager
    def _s3(self, uri: str) -> Iterator[Any]:
        """One connection for all, but a new one after a failure: credentials may have been renewed."""
        with s3_errors(uri):
            self._fs = self._fs or open_s3(self.options)
            try:
                yield self._fs
            except Exception:
                self._fs = None
                raise

    def _upload(self, fs: Any, source: Path, target: str, interrupted: Callable[[], bool]) -> bool:
        manifest = (source / MANIFEST).read_bytes()
        if fs.exists(f"{target}/{MANIFEST}"):
            if fs.cat_file(f"{target}/{MANIFEST}") == manifest:
                return True
            fs.rm_file(f"{target}/{MANIFEST}")
        self._upload_best(fs)
        for path in sorted(path for path in source.rglob("*") if path.is_file() and path.name != MANIFEST):
            if interrupted():
                return False
            fs.put_file(str(path), f"{target}/{path.relative_to(source).as_posix()}")
        fs.pipe_file(f"{target}/{MANIFEST}", manifest)
        return True

    def _upload_best(self, fs: Any) -> None:
        """Before the manifest of the checkpoint that counts on it.

        They may be newer than the checkpoint; a run that goes on from there then finds them once more.
        """
        if not self.run.best.exists():
            return
        written = self.run.best.stat().st_mtime_ns
        if written != self._best_written:
            fs.put_file(str(self.run.best), f"{self.uri}/{self.run.best.name}")
            self._best_written = written

    def _download_best(self, fs: Any) -> None:
        name = self.run.best.name
        if fs.exists(f"{self.uri}/{name}"):
            with draft_in(self.run.path) as draft:
                _get(fs, f"{self.uri}/{name}", draft, name)
                sync(draft / name)
                (draft / name).replace(self.run.best)


def _key(uri: str) -> str:
    return uri.removeprefix("s3://")


def _get_checkpoint(fs: Any, source: str, folder: Path) -> str | None:
    """Download what the manifest lists, not what an upload of other ranks left; returns what is wrong."""
    _get(fs, f"{source}/{MANIFEST}", folder, MANIFEST)
    try:
        listed = {entry.path for entry in read_manifest(folder).files}
    except ArtifactError as error:
        return str(error)
    for key in fs.find(source):
        name = key.removeprefix(f"{_key(source)}/")
        if name in listed:
            _get(fs, key, folder, name)
    return damage(folder)


def _get(fs: Any, key: str, folder: Path, name: str) -> None:
    """Download one file; a key in a bucket that others write to must not place it elsewhere."""
    target = folder / name
    if not target.resolve().is_relative_to(folder.resolve()):
        raise ArtifactError(f"s3://{_key(key)}: leads out of the checkpoint; remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    fs.get_file(key, str(target))
