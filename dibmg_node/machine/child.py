"""A child process of the node's own: it ends with its parent, and logs."""

from __future__ import annotations

import os
from pathlib import Path

from dibmg_node.logs import start_logging
from dibmg_node.machine.heap import share_one_arena
from dibmg_node.machine.processes import die_with_parent


def prepare_child(name: str, folder: Path, log_level: str, parent: int, niceness: int = 0) -> None:
    """The first thing that a child does.

    Args:
        name: Of its log.
        folder: Where that is.
        log_level: From which it is written.
        parent: Process ID of who started it.
        niceness: Of nice(1): 19 lets everybody else go first.
    """
    die_with_parent(parent)
    share_one_arena()
    start_logging(name, folder, log_level)
    os.nice(niceness)
