"""Markdown: tables, headings and the links between them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

_HEADING: Final = re.compile(r"^(#{2,3}) (.+)$", re.MULTILINE)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; `|` and line breaks in cells are made harmless.

    Raises:
        ValueError: A row has another number of cells than there are titles.
    """
    lines = [_line(titles), "|" + "---|" * len(titles)]
    for row in rows:
        if len(row) != len(titles):
            raise ValueError(f"a row of {len(row)} cells in a table of {len(titles)} columns")
        lines.append(_line(row))
    return "\n".join(lines)


def code(text: str) -> str:
    """Text as it stands in a file or on the wire."""
    return f"`{text}`" if text else ""


def contents(text: str) -> str:
    """A list of the headings of level 2 and 3, each a link, as GitHub makes their anchors."""
    return "\n".join(
        f"{'  ' * (len(marks) - 2)}- [{title}](#{_anchor(title)})" for marks, title in _HEADING.findall(text)
    )


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(re.sub(r"\s+", " ", cell.replace("|", r"\|")).strip() for cell in cells) + " |"


def _anchor(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
