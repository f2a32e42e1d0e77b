"""What can go wrong, by what a caller can do about it.

Messages are those of the library, with their causes. A rejected batch is a verdict and no error,
unless you ask for one (:meth:`fusion.Report.raise_for_verdict`, ``classify(..., strict=True)``).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .report import Report, Run

__all__ = ["BadInput", "BadModel", "FusionError", "Incomplete", "Rejected", "ServerUnavailable", "Untrusted"]


class FusionError(Exception):
    """Base of all errors of this package."""


class ServerUnavailable(FusionError):
    """Nobody answers at the address, or the server is gone, busy or of another version."""


class BadModel(FusionError):
    """A network cannot be imported, calibrated or planned, or a package is damaged."""


class Untrusted(FusionError):
    """The server, or what it serves, is not to be relied on.

    Its model is not the one that is pinned or was seen before at its address, its card or hint is
    malformed, its published answers do not bear out what it claims, it broke the protocol, or it
    refused your credentials.
    """


class BadInput(FusionError, ValueError):
    """Images, labels, settings or files that cannot be used: yours to mend."""


class Incomplete(FusionError):
    """A run ended before every sample was answered; what was answered is kept.

    Attributes
    ----------
    run : fusion.Run
        The run, for ``client.resume(error.run)``.
    answered, total : int
        Samples of the batch (queries times copies, and public ones) that are answered, and all.
    resumable : bool
        Whether the run may go on. A run may lose only so many lanes, however often it is resumed.
    """

    def __init__(
        self,
        message: str,
        *,
        run: str | os.PathLike[str] | Run = "",
        answered: int = 0,
        total: int = 0,
        resumable: bool = False,
    ) -> None:
        from .report import Run

        super().__init__(message)
        self.run = run if isinstance(run, Run) else Run(run)
        self.answered = answered
        self.total = total
        self.resumable = resumable


class Rejected(FusionError):
    """The answers of a batch may be wrong on purpose.

    Attributes
    ----------
    report : fusion.Report
        The report, with the evidence.
    """

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report
