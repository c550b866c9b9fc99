"""Proving: asking a destination whether it keeps what it said that it had stored."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from dibmg_node.errors import LedgerConflictError, PeerRefusedError, PeerUnavailableError
from dibmg_node.services.rollout import may_be_known_elsewhere
from dibmg_node.storage.evidence import Evidence, Finding
from dibmg_node.storage.proofs import Proofs, Unproven

_log = logging.getLogger(__name__)

LEASE: Final = timedelta(minutes=5)
"""Longer than asking may take: see the time-outs of the witnesses."""


class Witness(Protocol):
    """Asks one destination."""

    def testify(self, study_uid: str, unproven: Sequence[Unproven]) -> Sequence[Evidence]:
        """Ask for results of a study; what was found of each.

        Raises:
            PeerUnavailableError: The peer cannot be asked now.
            PeerRefusedError: The peer does not answer such a question.
        """


@dataclass(frozen=True)
class Prover:
    """Asks the destinations that it has a witness for; of the others no proof is wanted.

    Attributes:
        name: Of the worker, as it stands in the ledger.
        others_are_up: Whether other hosts share the ledger: a new configuration reaches them one by one.
    """

    proofs: Proofs
    witnesses: Mapping[str, Witness]
    now: Callable[[], datetime]
    name: str = ""
    others_are_up: Callable[[], bool] = lambda: False

    def prove(self, study_uid: str, destination: str) -> bool:
        """Ask for everything of a study whose proof is due at one destination; whether there was anything."""
        if destination not in self.witnesses and self._may_be_known_elsewhere(study_uid, destination):
            extra = {"study_uid": study_uid, "destination": destination}
            _log.info("proof not known here, left to other hosts", extra=extra)
            return False
        try:
            unproven = self.proofs.claim(study_uid, destination, self.now(), LEASE, self.name)
        except LedgerConflictError:
            return False
        found, reached = self._ask(study_uid, destination, unproven)
        self.proofs.settle(study_uid, destination, found, self.now(), unreachable=not reached)
        log_evidence(study_uid, destination, found)
        return True

    def _may_be_known_elsewhere(self, study_uid: str, destination: str) -> bool:
        since = self.proofs.lacking_since(study_uid, destination)
        return may_be_known_elsewhere(since, self.now(), self.others_are_up)

    def _ask(
        self, study_uid: str, destination: str, unproven: Sequence[Unproven]
    ) -> tuple[Sequence[Evidence], bool]:
        witness = self.witnesses.get(destination)
        if witness is None:
            return [Evidence(one.sop_uid, Finding.WAIVED) for one in unproven], True
        try:
            return witness.testify(study_uid, unproven), True
        # a peer that does not answer such questions has the results all the same: a person may change it
        except (PeerUnavailableError, PeerRefusedError) as error:
            told = str(error)
        # whatever went wrong here must be seen in the ledger and backed off, not repeated in silence
        except Exception as error:  # noqa: BLE001
            _log.error("unexpected error while proving", exc_info=error)
            told = f"unexpected {type(error).__name__} while proving"
        return [Evidence(one.sop_uid, Finding.WAITING, comment=told) for one in unproven], False


def log_evidence(study_uid: str, destination: str, found: Sequence[Evidence]) -> None:
    """One line for each result."""
    for one in found:
        facts = {
            "study_uid": study_uid,
            "destination": destination,
            "sop_uid": one.sop_uid,
            "status": one.status,
            "comment": one.comment,
        }
        if one.finding is Finding.LOST:
            _log.error("result lost by its destination; it is sent again", extra=facts)
        elif one.finding is Finding.UNPROVABLE:
            _log.error("result not committed to", extra=facts)
        else:
            _log.info(f"result {one.finding.value}", extra=facts)
