"""Where unfinished work waits: files that are complete or absent, in a folder or on S3.

A run that is started again finds here what its predecessor has finished; machines that share the work find
here what the others have made.
"""

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from unimol2_tasks.artifacts.drafts import sync
from unimol2_tasks.artifacts.s3 import is_s3, open_s3, s3_errors
from unimol2_tasks.artifacts.store import Store

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workspace:
    """A folder, or a prefix on S3, of named files.

    Attributes:
        uri: The folder, which need not exist, or `s3://…`.
        store: How S3 is reached, and where what comes from it is kept.
    """

    uri: str
    store: Store

    def finished(self) -> set[str]:
        """The names of all files that are there."""
        if is_s3(self.uri):
            root = self.uri.removeprefix("s3://") + "/"
            with s3_errors(self.uri):
                return {key.removeprefix(root) for key in self._s3.find(self.uri)}
        names = (path.relative_to(self.uri) for path in Path(self.uri).rglob("*") if path.is_file())
        return {name.as_posix() for name in names if not any(part.startswith(".") for part in name.parts)}

    @contextmanager
    def new(self, name: str) -> Iterator[Path]:
        """A path to write to; the file gets its name when the `with` block ends without an error.

        On S3 nothing stays here: a machine that works for another one would keep all it ever made.
        """
        target = self._local / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=target.parent) as folder:
            partial = Path(folder) / target.name
            yield partial
            sync(partial)
            if is_s3(self.uri):
                with s3_errors(f"{self.uri}/{name}"):
                    self._s3.put_file(str(partial), f"{self.uri}/{name}")
            else:
                partial.replace(target)

    def path(self, name: str) -> Path:
        """The file, or the local copy of one on S3, which is downloaded the first time."""
        target = self._local / name
        if is_s3(self.uri) and not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".new-", dir=target.parent) as folder:
                partial = Path(folder) / target.name
                with s3_errors(f"{self.uri}/{name}"):
                    self._s3.get_file(f"{self.uri}/{name}", str(partial))
                partial.replace(target)
        return target

    def discard(self, name: str) -> None:
        """Remove a file that nobody needs any more, here and on S3."""
        if is_s3(self.uri):
            with s3_errors(f"{self.uri}/{name}"):
                self._s3.rm_file(f"{self.uri}/{name}")
        (self._local / name).unlink(missing_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other process of this machine works here, and keep them out."""
        self._local.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._local / ".lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            _LOGGER.warning("%s: another process works on the same; waiting for it", self.uri)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def remove(self) -> None:
        """Remove every file, here and on S3."""
        if is_s3(self.uri):
            with s3_errors(self.uri):
                if self._s3.exists(self.uri):
                    self._s3.rm(self.uri, recursive=True)
        shutil.rmtree(self._local, ignore_errors=True)
        with suppress(OSError):  # others work beside it
            self._local.parent.rmdir()

    @cached_property
    def _local(self) -> Path:
        if is_s3(self.uri):
            return self.store.cache.absolute() / "work" / self.uri.removeprefix("s3://")
        return Path(self.uri)

    @property
    def _s3(self) -> Any:
        return open_s3(self.store.s3)
