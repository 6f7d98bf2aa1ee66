"""What ranks warn of, told where somebody reads it: their own words go to a log file."""

import logging
import re
from dataclasses import dataclass, field
from pathlib import Path

_LOGGER = logging.getLogger(__name__)
# As `worker.main` has them written, behind the number that `srun --label` gives a node.
_WARNING = re.compile(r"^(?: *\d+: )?\S+ \S+ WARNING unimol2_tasks[\w.]*: (.+)$", re.MULTILINE)


@dataclass(slots=True)
class WorkerWarnings:
    """Follows the ranks' log from where it ends when this is made.

    Attributes:
        log: The file, which need not be there yet.
    """

    log: Path
    _position: int = field(init=False)
    _told: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._position = self._size()

    def tell(self) -> None:
        """Pass on the warnings that came since the last call; what several ranks say is said once."""
        if self._size() <= self._position:
            return
        with self.log.open("rb") as stream:
            stream.seek(self._position)
            # A line that is being written waits for its end.
            content, newline, _ = stream.read().rpartition(b"\n")
        self._position += len(content + newline)
        for message in _WARNING.findall(content.decode(errors="replace")):
            if message not in self._told:
                self._told.add(message)
                _LOGGER.warning("%s", message)

    def _size(self) -> int:
        return self.log.stat().st_size if self.log.is_file() else 0
