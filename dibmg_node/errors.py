"""The error family: each class tells the caller what to do next."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from datetime import timedelta


class DibmgError(Exception):
    """Anything that this program reports on purpose."""


class ConfigError(DibmgError):
    """The configuration cannot be used: stop before the first socket, exit code 2.

    Attributes:
        complaints: Every complaint, each starting with the path of its key.
    """

    def __init__(self, complaints: Sequence[str]) -> None:
        self.complaints = tuple(complaints)
        super().__init__("; ".join(self.complaints))


class RejectedError(DibmgError):
    """The input cannot be read by this model; never retried."""


class InstanceRejectedError(RejectedError):
    """An instance is answered with a failure status.

    Attributes:
        status: C-STORE status (PS3.4 B.2.3).
        offending_element: Tag of the attribute at fault, where one is.
    """

    def __init__(self, status: int, comment: str, offending_element: int | None = None) -> None:
        self.status = status
        self.offending_element = offending_element
        super().__init__(comment)


class RetryableError(DibmgError):
    """The same call may succeed later: back off and try again."""


class PeerUnavailableError(RetryableError):
    """No association, time-out, 0xA7xx, HTTP 408, 429 or 5xx.

    Attributes:
        retry_after: How long the peer wants to be left alone; None where it did not say.
        in_doubt: What was sent may have arrived; only the answer did not.
    """

    def __init__(self, message: str, retry_after: timedelta | None = None, *, in_doubt: bool = False) -> None:
        self.retry_after = retry_after
        self.in_doubt = in_doubt
        super().__init__(message)


class StorageFullError(RetryableError):
    """No room; 0xA700 to the sender."""

    @staticmethod
    def explains(error: OSError) -> bool:
        """Whether an error of the system says that: a full disk, a quota, a limit of a file's size."""
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class IntakePausedError(RetryableError):
    """An operator paused intake; 0xA700 to the sender."""


class SelfTestPausedError(RetryableError):
    """A self-test cannot be carried out: an operator paused a part of the node that it goes through."""


class LedgerUnavailableError(RetryableError):
    """The ledger's database does not answer, is locked, or has no room."""


class PermanentError(DibmgError):
    """Needs a person; shown red."""


class PeerRefusedError(PermanentError):
    """The peer answered, and the answer will not change by asking again."""


class WeightsError(PermanentError):
    """The weights' manifest and files disagree, or the weights are untrained."""


class SelfTestBrokenError(PermanentError):
    """A step of a self-test broke.

    Attributes:
        remedy: What is to be done, in one sentence.
    """

    def __init__(self, message: str, remedy: str) -> None:
        self.remedy = remedy
        super().__init__(message)


class LedgerConflictError(DibmgError):
    """Someone else was faster, or the study has moved on: drop the work."""
