"""Reports on requests for storage commitment: read, entered, answered; on whatever association they come."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dibmg_node.dicom.commitment import ReportStatus, read_report
from dibmg_node.errors import InstanceRejectedError, RetryableError
from dibmg_node.services.wire import EventReport
from dibmg_node.storage.evidence import Evidence, Finding
from dibmg_node.storage.proofs import Proofs

_log = logging.getLogger(__name__)

FAILURES: Final = {
    0x0110: ("processing failure", Finding.LOST),
    0x0112: ("no such object instance", Finding.LOST),
    0x0119: ("class / instance conflict", Finding.UNPROVABLE),
    0x0122: ("SOP class not supported", Finding.UNPROVABLE),
    0x0131: ("duplicate transaction UID", Finding.WAITING),
    0x0213: ("resource limitation", Finding.LOST),
}
"""Failure Reasons in words, and what follows; any other is as if the peer did not have the result.

Source: PS3.3 C.14.1.1.
"""


@dataclass(frozen=True)
class Reports:
    """Takes reports of peers."""

    proofs: Proofs
    now: Callable[[], datetime]

    def take(self, report: EventReport) -> int:
        """Enter a report; the status that it is answered with."""
        extra = {"calling_aet": report.calling_aet, "peer_address": report.peer_address}
        try:
            read = read_report(report.content, report.transfer_syntax_uid, report.event_type)
            failed = {uid: failure_of(uid, reason) for uid, reason in read.failed.items()}
            known = self.proofs.report(read.transaction_uid, read.committed, failed, self.now())
        except InstanceRejectedError as error:
            _log.warning("report on storage commitment refused", extra={**extra, "reason": str(error)})
            return error.status
        except RetryableError as error:
            _log.error("report on storage commitment not entered", extra={**extra, "reason": str(error)})
            return ReportStatus.PROCESSING_FAILURE
        extra = {
            **extra,
            "transaction_uid": read.transaction_uid,
            "committed": str(len(read.committed)),
            "failed": str(len(read.failed)),
        }
        if not known:
            _log.warning("report on a storage commitment that nobody asked for", extra=extra)
            return ReportStatus.INVALID_ARGUMENT_VALUE
        _log.log(logging.ERROR if failed else logging.INFO, "storage commitment reported", extra=extra)
        return ReportStatus.SUCCESS


def failure_of(sop_uid: str, reason: int) -> Evidence:
    """What a Failure Reason means for a result."""
    words, finding = FAILURES.get(reason, ("an unknown reason", Finding.LOST))
    return Evidence(sop_uid, finding, f"0x{reason:04X}", f"storage commitment failed: {words}")
