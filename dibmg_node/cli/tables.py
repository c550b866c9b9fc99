"""Tables on a terminal."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Column

console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def uid_column(title: str) -> Column:
    """A column of UIDs, never cut: people copy them."""
    return Column(title, overflow="fold", min_width=32)
