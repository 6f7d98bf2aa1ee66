"""One public file onto the disk: its download resumes, retries, and is verified before it gets its name."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from unimol2_tasks.artifacts.drafts import sync
from unimol2_tasks.artifacts.manifest import sha256_of
from unimol2_tasks.datasets.catalogue import SourceFile
from unimol2_tasks.errors import UserError
from unimol2_tasks.progress import report

_LOGGER = logging.getLogger(__name__)
_CHUNK_BYTES = 1 << 18
_MEGABYTE = 1e6
# What a server says when the same request may succeed later.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_WAIT = 60.0


class DownloadFailed(UserError):  # noqa: N818 - it names what happened, as TrainingFailed does
    """A public file could not be had, or is not what it should be."""


class _Passing(Exception):  # noqa: N818 - a reason to try again, never seen outside
    """A failure that may be gone at the next try.

    Attributes:
        wait: Seconds that the server asks for; 0 where it does not say.
    """

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Patience:
    """How failures that may pass are met."""

    failures: int = 5
    """Failures in a row, without a new byte between them, after which an address is given up."""
    first_wait: float = 1.0
    """Seconds before the second try; doubled each time, at most a minute."""

    def wait(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row."""
        return min(self.first_wait * 2.0 ** (failures - 1), _LONGEST_WAIT)


def get_file(
    client: httpx.Client, file: SourceFile, target: Path, mirror: str | None, patience: Patience
) -> None:
    """Download a file, unless it is there already; what an interruption leaves is `NAME.part`.

    Raises:
        UserError: Something else is at `target`.
        DownloadFailed: No address has it, or what they have is something else.
    """
    if target.is_file():
        if sha256_of(target) != file.sha256:
            raise UserError(
                f"{target}: is not the file that the catalogue names; move it away, or choose another --out"
            )
        return
    part = target.with_name(f"{target.name}.part")
    problems = []
    for url in file.urls:
        try:
            _download(client, mirrored(url, mirror), file, part, patience)
        except DownloadFailed as problem:
            problems.append(str(problem))
            continue
        sync(part)
        part.replace(target)
        sync(target.parent)
        return
    raise DownloadFailed("\n".join(problems))


def mirrored(url: str, mirror: str | None) -> str:
    """The address of the same file on a mirror.

    Raises:
        UserError: The mirror is no address.
    """
    if mirror is None:
        return url
    if not mirror.startswith(("http://", "https://")):
        raise UserError(f"--mirror {mirror}: expected http://host or https://host")
    return mirror.rstrip("/") + urlsplit(url).path


def _download(client: httpx.Client, url: str, file: SourceFile, part: Path, patience: Patience) -> None:
    """Fill `part` with the verified bytes of `file`.

    Raises:
        DownloadFailed: Names the address, and what it has instead.
    """
    failures = furthest = 0
    if _size(part) > file.size:
        part.unlink()
    while _size(part) != file.size:
        try:
            _continue(client, url, file, part)
        except (_Passing, httpx.RequestError) as problem:
            # A server that cannot resume starts over each time: only new bytes are progress.
            failures = 1 if _size(part) > furthest else failures + 1
            furthest = max(furthest, _size(part))
            if failures >= patience.failures:
                raise DownloadFailed(
                    f"{url}: gave up after {failures} failures in a row, with {_size(part):,} of "
                    f"{file.size:,} bytes: {problem}; run the same command again to go on from there"
                ) from None
            asked = problem.wait if isinstance(problem, _Passing) else 0.0
            pause = max(asked, patience.wait(failures))
            _LOGGER.warning("%s: %s; trying again in %.0f s", url, problem, pause)
            time.sleep(pause)
    found = sha256_of(part)
    if found != file.sha256:
        part.unlink()
        raise DownloadFailed(
            f"{url}: its content is not what the catalogue names: expected sha256 {file.sha256}, got "
            f"{found}; what was downloaded is removed, the next try starts anew"
        )


def _continue(client: httpx.Client, url: str, file: SourceFile, part: Path) -> None:
    """One request for what `part` still lacks; its bytes are appended as they arrive."""
    start = _size(part)
    # A coded body cannot be resumed by offset. If-Range is not needed: the sha256 tells a mixture.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with client.stream("GET", url, headers=headers) as response:
        start = _start_of(response, url, start, part)
        with part.open("r+b" if start else "wb") as stream:
            stream.seek(start)
            for done, chunk in _chunks(response, start):
                if done > file.size:
                    part.unlink()
                    raise DownloadFailed(
                        f"{url}: has more than the {file.size:,} bytes that the catalogue names: another "
                        "file; what was downloaded is removed"
                    )
                stream.write(chunk)
                _tell(part.stem, done, file.size)
    if _size(part) < file.size:
        raise _Passing(f"ended after {_size(part):,} of {file.size:,} bytes")


def _start_of(response: httpx.Response, url: str, wanted: int, part: Path) -> int:
    """The offset of the first byte of the body.

    Raises:
        _Passing: The server may answer later.
        DownloadFailed: It will not.
    """
    if response.status_code == httpx.codes.OK:
        return 0
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        if response.headers.get("Content-Range", "").startswith(f"bytes {wanted}-"):
            return wanted
        part.unlink(missing_ok=True)
        raise _Passing("the server sent another part than the one asked for")
    if response.status_code in _PASSING:
        raise _Passing(f"HTTP {response.status_code}", _asked_wait(response))
    if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
        part.unlink(missing_ok=True)
        raise DownloadFailed(
            f"{url}: is shorter than the catalogue says: another file; what was downloaded is removed"
        )
    raise DownloadFailed(
        f"{url}: HTTP {response.status_code} {response.reason_phrase}; try --mirror, or later"
    )


def _asked_wait(response: httpx.Response) -> float:
    asked = response.headers.get("Retry-After", "")
    return min(float(asked), _LONGEST_WAIT) if asked.isdecimal() else 0.0


def _chunks(response: httpx.Response, done: int) -> Iterator[tuple[int, bytes]]:
    for chunk in response.iter_raw(_CHUNK_BYTES):
        done += len(chunk)
        yield done, chunk


def _tell(name: str, done: int, size: int) -> None:
    report(name, done, size, f"{done / _MEGABYTE:.1f} of {size / _MEGABYTE:.1f} MB")


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0
