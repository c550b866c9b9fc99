"""Sources: the PACS that a study is fetched from, wired to the door that received instances take."""

from __future__ import annotations

from typing import Final

from dibmg_node.config import Settings
from dibmg_node.machine.processes import alone
from dibmg_node.sections.destinations import DestinationSection
from dibmg_node.services.cget import CGetSource
from dibmg_node.services.fetching import Haul, Landing, StudySource, is_acceptable, is_mammography
from dibmg_node.services.wado import WadoSource
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.ownership import hand_over
from dibmg_node.wiring import foundation
from dibmg_node.wiring.auditing import open_audit
from dibmg_node.wiring.destinations import open_dimse_peer, open_web_service
from dibmg_node.wiring.receiving import make_intake
from dibmg_node.wiring.registration import check_archive

_LONGEST_AE_TITLE: Final = 16
_MOST_IN_MEMORY: Final = 2**30
FETCH_SPOOL: Final = "spool-fetch"
"""Where fetches receive: not where intake does, which clears its own spool when it starts."""


def fetch_study(
    settings: Settings, ledger: Ledger, source: DestinationSection, study_uid: str, *, everything: bool
) -> Haul:
    """Take a study of a destination in, by the door that a C-STORE takes.

    Args:
        settings: Of the node.
        ledger: Of the node.
        source: Who has the study.
        study_uid: Its Study Instance UID.
        everything: Every object that the node accepts, not mammograms alone.

    Raises:
        NoSuchStudyError: The PACS has no such study.
        PeerUnavailableError: It cannot be reached.
        PeerRefusedError: It does not let this node fetch.
        IntakePausedError: An operator paused intake.
        PermanentError: Another fetch into this data folder is running.
        ConfigError: The archive is not that of the ledger.
    """
    lock = settings.data_dir / "fetch.lock"
    with alone(lock, "another fetch into this data folder is running"):
        hand_over(lock)
        archive = foundation.open_archive(settings, FETCH_SPOOL)
        archive.prepare()
        check_archive(settings, archive, ledger.marks)
        audit = open_audit(settings, "fetch", foundation.now)
        intake = make_intake(settings, ledger, archive, audit)
        intake.check_open()
        intake.repair()
        sender = (source.ae_title or source.name)[:_LONGEST_AE_TITLE]
        landing = Landing(study_uid, sender, intake.open_instance, longest_fetched(settings))
        wants = is_acceptable if everything else is_mammography
        try:
            return open_source(settings, source).fetch(study_uid, wants, landing)
        finally:
            intake.sender_done(landing.association_id)


def longest_fetched(settings: Settings) -> int:
    """Bytes of an instance at most: what is fetched is held in memory until it is whole, and then written."""
    return min(int(settings.intake.max_instance_gb * 2**30), _MOST_IN_MEMORY)


def open_source(settings: Settings, source: DestinationSection) -> StudySource:
    """The way into a destination."""
    match source:
        case DestinationSection(kind="stow", url=str(url)):
            return WadoSource(open_web_service(settings, source, url, foundation.now))
    return CGetSource(open_dimse_peer(settings, source))
