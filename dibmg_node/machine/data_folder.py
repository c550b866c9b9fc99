"""The data folder: images, ledger and keys are for the node's user."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_EVERYBODY_ELSE: Final = 0o007


def make_data_folder(folder: Path) -> None:
    """Make it where it is not there, for this user alone; one that is there keeps the mode that it was given.

    Raises:
        OSError: It cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def keep_from_others() -> None:
    """Let this process and its children write for owner and group alone.

    What the umask denies it goes on denying; a group may have been meant, as its folder or the unit says.
    """
    os.umask(os.umask(0o077) | _EVERYBODY_ELSE)
