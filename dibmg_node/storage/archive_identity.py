"""An archive has an identity: the ledger speaks of one archive, and of no other."""

from __future__ import annotations

import os
from pathlib import Path
from secrets import token_hex
from typing import Final

from dibmg_node.storage.folders import sync_folder
from dibmg_node.storage.ownership import hand_over

_MARKER: Final = "archive.id"
_LONGEST: Final = 128


def marker_file(root: Path) -> Path:
    """Where an archive's identity stands."""
    return root / _MARKER


def read_identity(root: Path) -> str | None:
    """Identity of the archive in a folder; None: it has none.

    Raises:
        OSError: It cannot be read.
    """
    try:
        return marker_file(root).read_text(encoding="utf-8")[:_LONGEST].strip() or None
    except FileNotFoundError:
        return None


def give_identity(root: Path, identity: str | None = None) -> str:
    """Give an archive an identity, unless somebody was faster; the one that it has.

    Args:
        root: Its folder, which is there.
        identity: The one that the ledger knows; None: a new one.

    Raises:
        OSError: It cannot be written.
    """
    draft = root / f"{_MARKER}.{token_hex(8)}"
    with draft.open("x", encoding="utf-8") as file:
        file.write(f"{identity or token_hex(16)}\n")
        file.flush()
        os.fsync(file.fileno())
    hand_over(draft)
    try:
        marker_file(root).hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    sync_folder(root)
    found = read_identity(root)
    assert found is not None
    return found
