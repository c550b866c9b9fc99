"""One data set on its way through the spool, from its first byte to the answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from dibmg_node.dicom.facts import StoreStatus
from dibmg_node.errors import InstanceRejectedError, RetryableError
from dibmg_node.services.wire import StoreAnswer, StoreRequest
from dibmg_node.storage.spool_file import SpoolFile

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SpooledInstance:
    """A sink of `services.wire`.

    Attributes:
        take: Makes a whole file safe, or raises why not.
    """

    take: Callable[[StoreRequest, SpoolFile], StoreAnswer]
    request: StoreRequest
    spooled: SpoolFile

    def write(self, *fragments: memoryview) -> None:
        """Append the next bytes to the spool file."""
        self.spooled.write(*fragments)

    def commit(self) -> StoreAnswer:
        """Make the instance safe, or refuse it."""
        try:
            answer = self.take(self.request, self.spooled)
        except InstanceRejectedError as error:
            self.spooled.discard()
            extra = {"sop_uid": self.request.sop_instance_uid, "reason": str(error)}
            _log.warning("instance refused", extra=extra)
            return StoreAnswer(error.status, str(error), error.offending_element)
        except (RetryableError, OSError) as error:
            reason = f"disk: {error.strerror}" if isinstance(error, OSError) else str(error)
            extra = {"sop_uid": self.request.sop_instance_uid, "reason": reason}
            _log.error("instance not stored", extra=extra)
            return StoreAnswer(StoreStatus.OUT_OF_RESOURCES, reason)
        finally:
            self.spooled.abandon()
        self.spooled.discard()
        return answer

    def abort(self) -> None:
        """Forget what came."""
        self.spooled.discard()
