"""Tables on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)

_BETWEEN: Final = 3
"""Cells that a column's border and padding take; the table's last border is one more."""


@dataclass(frozen=True)
class Heading:
    """A column of a table that has to fit.

    Attributes:
        title: Above the column.
        folds_to: Its cells may fold down to this width; 0: they stay on one line.
        goes: Columns are left out where there is no room, those of the largest number first; 0: never.
    """

    title: str
    folds_to: int = 0
    goes: int = 0


def uid_column(title: str) -> Column:
    """A column of UIDs, folded but never cut: people copy them."""
    return Column(title, overflow="fold")


def fitting_table(headings: Sequence[Heading], rows: Sequence[Sequence[str]], width: int) -> Table:
    """A table no wider than the terminal, in which no cell is cut.

    What folds is narrowed first; then columns are left out, and a line below the table names them.

    Args:
        headings: The columns.
        rows: A cell for each column, with rich's markup.
        width: Of the terminal.
    """
    cells = [[Text.from_markup(cell) for cell in row] for row in rows]
    least = [_least(heading, [row[at] for row in cells]) for at, heading in enumerate(headings)]
    kept = list(range(len(headings)))
    while sum(least[at] + _BETWEEN for at in kept) + 1 > width:
        going = max(headings[at].goes for at in kept)
        if not going:
            break
        kept = [at for at in kept if headings[at].goes != going]
    table = Table(caption_justify="left")
    for at in kept:
        table.add_column(headings[at].title, overflow="fold", no_wrap=not headings[at].folds_to)
    for row in cells:
        table.add_row(*(row[at] for at in kept))
    left_out = [heading.title for at, heading in enumerate(headings) if at not in kept]
    if left_out:
        table.caption = f"no room here for {', '.join(left_out)}: a wider terminal, or --json"
    return table


def _least(heading: Heading, cells: Sequence[Text]) -> int:
    """The width that a column cannot do without."""
    natural = max((cell.cell_len for cell in cells), default=0)
    return max(min(natural, heading.folds_to or natural), cell_len(heading.title))
