"""What reading a published layout gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from dibmg.data.importers.names import Layout
from dibmg.data.manifest import ImageRow


@dataclass(frozen=True)
class ImportReport:
    """The images of a published data set, and what its layout leaves open.

    Attributes:
        rows: One an image that is on the disk and has a label, in the order of the publisher's table.
        skipped: Reason → count of what the tables name and `rows` do not hold.
        notes: Sentences on what the layout cannot say, and on how its words were read.
        source: Whom to cite.
        license: Terms of the data, as far as they are known.
    """

    kind: Layout
    rows: tuple[ImageRow, ...]
    skipped: Mapping[str, int]
    notes: tuple[str, ...]
    source: str
    license: str


Importer: TypeAlias = Callable[[Path], ImportReport]
"""Folder as its publisher lays it out → what is in it; LayoutError where it is laid out otherwise."""
