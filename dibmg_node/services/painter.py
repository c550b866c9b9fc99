"""Draws pictures, in a process of its own."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Final

from pydicom import dcmread

from dibmg_node.dicom.mammogram import read_mammogram
from dibmg_node.dicom.picture import jpeg, read_overlay, shrunk, windowed
from dibmg_node.dicom.pixels import PixelsUnreadableError
from dibmg_node.domain.image import Mammogram
from dibmg_node.services.picture_orders import Order, OverlayOrder

LONGEST_SIDE: Final = 1600
_KEPT: Final = 12
"""Mammograms in memory, so that another window takes milliseconds."""


class Painter:
    """Draws; lives in the sandbox's child."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Path, Mammogram] = OrderedDict()

    def paint(self, order: Order) -> bytes:
        """A JPEG.

        Raises:
            PixelsUnreadableError: The pixels cannot be decoded.
            OSError: The file cannot be read.
        """
        if isinstance(order, OverlayOrder):
            return jpeg(read_overlay(order.path.read_bytes(), order.source_shape), LONGEST_SIDE)
        return jpeg(windowed(self._mammogram(order.path), order.center, order.width), LONGEST_SIDE)

    def _mammogram(self, path: Path) -> Mammogram:
        if path not in self._kept:
            try:
                instance = dcmread(path)
            except OSError:
                raise
            except Exception as error:
                kind = type(error).__name__
                raise PixelsUnreadableError(f"pixel data cannot be read ({kind})") from error
            self._kept[path] = shrunk(read_mammogram(instance, LONGEST_SIDE), LONGEST_SIDE)
        self._kept.move_to_end(path)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return self._kept[path]
