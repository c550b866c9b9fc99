"""Pictures of what the archive holds, drawn in a process of their own: a decoder may crash on any image."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from dibmg_node.services.picture_orders import MammogramOrder, Order, OverlayOrder
from dibmg_node.services.picture_process import build_painter
from dibmg_node.services.sandbox import Sandbox
from dibmg_node.storage.archive import Archive

_DEADLINE_SECONDS: Final = 30.0


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


def _nothing() -> None:
    """Nobody's claim has to be renewed for a picture."""
