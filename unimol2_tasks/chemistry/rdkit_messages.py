"""What RDKit says when it refuses a molecule, short enough for a ledger."""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr

from rdkit import rdBase

from unimol2_tasks.chemistry.rejection import Rejected, RejectionStage

_LOG_PREFIX = re.compile(r"^\[\d\d:\d\d:\d\d\] ?((SMILES Parse Error|WARNING|Warning): )?")
_FRAME = re.compile(r"^(\*+|-+|[\w -]*Violation)?$")
"""The lines around the message of a broken invariant; what follows it is a stack trace."""
_LONGEST = 200


@contextmanager
def rejecting(stage: RejectionStage) -> Iterator[None]:
    """Turn RDKit's refusals into rejections.

    RDKit raises its sanitisation errors as ValueError and its broken invariants as RuntimeError.
    """
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise Rejected(stage, first_message(str(error))) from None


def first_message(log: str) -> str:
    """The first line of an error or a log that says something."""
    lines = (_LOG_PREFIX.sub("", line.strip()) for line in log.splitlines())
    message = next((line for line in lines if not _FRAME.match(line)), "RDKit gave no reason")
    return message if len(message) <= _LONGEST else message[: _LONGEST - 1] + "…"


def logged_message(read: Callable[[], object]) -> str:
    """What RDKit logs, at any level, while something is read again.

    Its readers of mol blocks do not raise their reasons, and log them as warnings, which
    `CaptureErrorLog` does not catch.
    """
    log = io.StringIO()
    rdBase.LogToPythonStderr()
    try:
        with redirect_stderr(log):
            read()
    finally:
        rdBase.LogToCppStreams()
    return first_message(log.getvalue())
