"""Copies checkpoints to S3 while a run goes on, for runs whose machine may not come back.

It works in the supervising process, which holds the credentials: launchers keep its `AWS_*` variables from
the ranks, which train on and never speak to S3.
"""

import logging
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from unimol2_tasks.artifacts.s3 import S3Options
from unimol2_tasks.errors import ArtifactError
from unimol2_tasks.training.checkpoint_files import damage
from unimol2_tasks.training.job import Job, RunFolder
from unimol2_tasks.training.remote_checkpoints import RemoteCheckpoints

_POLL_SECONDS = 1.0
_FIRST_PAUSE_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 300.0
_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class CheckpointMirror:
    """Keeps on S3 what the run keeps here.

    Attributes:
        run: The run.
        remote: Its checkpoints on S3.
    """

    run: RunFolder
    remote: RemoteCheckpoints
    _mirrored: set[str] = field(default_factory=set)
    _ending: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def below(cls, out: str, run: RunFolder, options: S3Options) -> "CheckpointMirror":
        """The mirror of a run that publishes below the prefix `out`: `<out>/.checkpoints/<run key>`."""
        uri = f"{out.rstrip('/')}/.checkpoints/{run.path.name}"
        return cls(run, RemoteCheckpoints(run, uri, options))

    def bring_back(self) -> str | None:
        """Download the newest checkpoint that verifies, if it is newer than all here that verify.

        Damaged ones here that are newer than those are removed. On S3 nothing is removed: what is not
        finished may be another machine's upload, and stays until this run uploads the same step or prunes.

        Returns:
            Its name, or None where nothing was to be had.

        Raises:
            ArtifactError: S3 failed; to begin again from an older step would be worse than to stop.
        """
        there = self.remote.names()
        newest_here = self._newest_intact()
        for name in sorted(there, reverse=True):
            if name <= newest_here:
                return None
            problem = self.remote.download(name)
            where = f"{self.remote.uri}/{name}"
            if problem is None:
                _logger.info("brought back checkpoint %s", where)
                self._mirrored.add(name)
                return name
            _logger.warning("checkpoint %s is passed over: %s", where, problem)
        return None

    @contextmanager
    def following(self) -> Iterator[None]:
        """Copy what appears here until the block ends.

        S3 that fails is tried again and complained of in the log; it never stops the block. When the block
        ends by an error or a request to stop, its last checkpoint is copied too.
        """
        self._ending.clear()
        thread = threading.Thread(target=self._follow, name="checkpoint mirror", daemon=True)
        thread.start()
        try:
            yield
        except BaseException:
            self._end(thread)
            self._copy_last()
            raise
        self._end(thread)

    def catch_up(self) -> bool:
        """Copy the newest checkpoint that is not there yet, and remove there what is not to be kept.

        Kept are the newest `keep_checkpoints` and the best, as here, even those that only S3 has.

        Returns:
            Whether there was anything to copy.

        Raises:
            ArtifactError: S3 failed.
        """
        missing = self._here() - self._mirrored
        if not missing:
            return False
        name = max(missing)
        if self.remote.upload(name, self._ending.is_set):
            self._mirrored.add(name)
            keep = self._keep()
            if keep is not None:
                self.remote.prune(max(self._mirrored), keep)
        return True

    def remove(self) -> None:
        """Remove all of it; a failure is no more than a warning, for the run has its result by now."""
        try:
            self.remote.remove()
        except ArtifactError as error:
            _logger.warning("these checkpoints are not needed any more; remove them: %s", error)

    def _follow(self) -> None:
        last, pause = time.localtime(), _POLL_SECONDS
        while not self._ending.wait(pause):
            try:
                while not self._ending.is_set() and self.catch_up():
                    pass
            except Exception as error:  # noqa: BLE001 - whatever S3 answers, training goes on
                pause = min(max(_FIRST_PAUSE_SECONDS, 2 * pause), _LONGEST_PAUSE_SECONDS)
                since = time.strftime("%Y-%m-%d %H:%M:%S", last)
                _logger.warning(
                    "checkpoints are on this machine only since %s; training goes on, and the copy to S3 is "
                    "tried again in %.0f s: %s", since, pause, error,
                )  # fmt: skip
            else:
                last, pause = time.localtime(), _POLL_SECONDS

    def _end(self, thread: threading.Thread) -> None:
        self._ending.set()
        thread.join()

    def _copy_last(self) -> None:
        self._ending.clear()
        try:
            self.catch_up()
        except Exception as error:  # noqa: BLE001 - what ended the block is what has to be told
            _logger.warning("the last checkpoint is on this machine only: %s", error)

    def _here(self) -> set[str]:
        return {path.name for path in self.run.checkpoints.glob("step-*")}

    def _newest_intact(self) -> str:
        """The worker would remove a damaged one too, but only after it was copied to S3."""
        for name in sorted(self._here(), reverse=True):
            problem = damage(self.run.checkpoints / name)
            if problem is None:
                return name
            _logger.warning("checkpoint %s is passed over and removed: %s", name, problem)
            shutil.rmtree(self.run.checkpoints / name)
        return ""

    def _keep(self) -> int | None:
        """What the ranks were told, who may have been launched with another value than is asked for now."""
        try:
            text = self.run.job.read_text(encoding="utf-8")
            return Job.model_validate_json(text).training.keep_checkpoints
        except (FileNotFoundError, ValueError):
            # The supervisor is about to write it; the next checkpoint is soon enough to prune.
            return None
