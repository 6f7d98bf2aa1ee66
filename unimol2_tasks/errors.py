"""The errors that a person can act on."""


class UserError(Exception):
    """Something outside the program is wrong: an input, a parameter, a file, a missing permission.

    The message names what is wrong, where (file, row, column or key) and what to change. The command
    line prints it without a traceback and exits with code 2; it is never worth a retry.
    """


class ArtifactError(UserError):
    """An artifact is missing, incomplete or damaged."""


class TableError(UserError):
    """An input table cannot be read as molecules."""


class ParameterError(UserError):
    """A parameter is unknown or impossible."""


class TrainingDiverged(UserError):  # noqa: N818 - it names what happened
    """Loss or gradients stopped being finite: with these parameters training leads nowhere."""


class TrainingFailed(RuntimeError):  # noqa: N818 - it names what happened, as Prefect's own exceptions do
    """Training ended without a result, for a reason that no input explains.

    Attributes:
        reason: `stopped`, `out of memory`, `communication`, `hang`, `time limit`, `preempted`,
            `node failure`, `error` (an exception in our code or a library's) or `crash` (a process ended
            without a word).
    """

    def __init__(self, message: str, reason: str = "crash") -> None:
        super().__init__(message)
        self.reason = reason
