"""The ledger, as commands open it."""

from __future__ import annotations

from pathlib import Path

from dibmg_node.config import Settings
from dibmg_node.errors import LedgerUnavailableError, PermanentError
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.schema_version import check_readable
from dibmg_node.wiring import foundation


def open_existing_ledger(settings: Settings) -> Ledger:
    """The ledger of a node that has been up before.

    Raises:
        PermanentError: There is none, or its schema is not for this program.
        LedgerUnavailableError: Whoever runs this may not look.
    """
    if settings.ledger.url == "embedded" and not _is_there(settings.data_dir / "ledger.sqlite"):
        raise PermanentError(
            f"no ledger below {settings.data_dir}: this node was never up ('dibmg up'), or its "
            "configuration is another one (--config FILE)"
        )
    ledger = foundation.open_node_ledger(settings)
    check_readable(ledger.engine)
    return ledger


def _is_there(ledger: Path) -> bool:
    try:
        return ledger.exists()
    except OSError as error:
        told = f"{ledger} cannot be looked at ({error.strerror}): run this as the node's user"
        raise LedgerUnavailableError(told) from error
