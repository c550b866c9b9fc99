"""Pictures of what the archive holds, drawn in a process of their own: a decoder may crash on any image."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom import dcmread

from dibmg_node.dicom.picture import jpeg, read_overlay, shrunk, windowed
from dibmg_node.dicom.pixels import PixelsUnreadableError, read_mammogram
from dibmg_node.domain.image import Mammogram
from dibmg_node.services.sandbox import Sandbox
from dibmg_node.storage.archive import Archive

LONGEST_SIDE: Final = 1600
_DEADLINE_SECONDS: Final = 30.0
_KEPT: Final = 12
"""Mammograms in memory, so that another window takes milliseconds."""


@dataclass(frozen=True)
class MammogramOrder:
    """Draw a mammogram; center and width as for `dicom.picture.windowed`."""

    path: Path
    center: float
    width: float


@dataclass(frozen=True)
class OverlayOrder:
    """Draw an overlay; shape as for `dicom.picture.read_overlay`."""

    path: Path
    source_shape: tuple[int, int]


Order = MammogramOrder | OverlayOrder


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
            self._kept[path] = shrunk(read_mammogram(instance), LONGEST_SIDE)
        self._kept.move_to_end(path)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return self._kept[path]


class Pictures:
    """Has pictures drawn, one at a time."""

    def __init__(self, archive: Archive, prepare: Callable[[], None]) -> None:
        """Start nothing yet: the child comes with the first picture.

        Args:
            archive: Where images and results lie.
            prepare: As for `Sandbox`.
        """
        self._archive = archive
        self._sandbox: Sandbox[Order, bytes] = Sandbox(build_painter, prepare, _DEADLINE_SECONDS)
        # one thread for good: the kernel ends a child that asked for it when the thread that started it ends
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pictures")

    def mammogram(self, sop_uid: str, center: float = 0.0, width: float = 1.0) -> bytes:
        """A JPEG of a received mammogram.

        Raises:
            DibmgError: It cannot be drawn.
            OSError: Its file cannot be read.
        """
        return self._paint(MammogramOrder(self._archive.instance(sop_uid), center, width))

    def overlay(self, sop_uid: str, source_shape: tuple[int, int]) -> bytes:
        """A JPEG of an overlay: its panel with the marks.

        Raises:
            DibmgError: It cannot be drawn.
            OSError: Its file cannot be read.
        """
        return self._paint(OverlayOrder(self._archive.result(sop_uid), source_shape))

    def stop(self) -> None:
        """End the child."""
        self._thread.submit(self._sandbox.stop).result()
        self._thread.shutdown()

    def _paint(self, order: Order) -> bytes:
        return self._thread.submit(self._sandbox.run, order, _nothing).result()


def build_painter() -> Callable[[Order], bytes]:
    """What the sandbox's child does with orders."""
    return Painter().paint


def _nothing() -> None:
    """Nobody's claim has to be renewed for a picture."""
