"""The ledger, as commands open it."""

from __future__ import annotations

from dibmg_node.config import Settings
from dibmg_node.errors import PermanentError
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.schema_version import check_readable
from dibmg_node.wiring import foundation


def open_existing_ledger(settings: Settings) -> Ledger:
    """The ledger of a node that has been up before.

    Raises:
        PermanentError: There is none, or its schema is not for this program.
    """
    if settings.ledger.url == "embedded" and not (settings.data_dir / "ledger.sqlite").exists():
        raise PermanentError(
            f"no ledger below {settings.data_dir}: this node was never up ('dibmg up'), or its "
            "configuration is another one (--config FILE)"
        )
    ledger = foundation.open_node_ledger(settings)
    check_readable(ledger.engine)
    return ledger
