"""Ending a self-test before its time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Stop:
    """What a signal's handler asks of a self-test: to end now, and take back what it sent.

    The handler raises wherever the program happens to be. A library may swallow that, or tell it as an error
    of its own, so that a test that was stopped would look like one that broke: hence it is remembered, too.
    """

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self._asked = False
        self._at_once = True

    def ask(self) -> None:
        """End the test.

        Raises:
            SystemExit: At once, unless it is held back; the code is 1.
        """
        self._asked = True
        self.check()

    def check(self) -> None:
        """End the test if that was asked, and came to nothing.

        Raises:
            SystemExit: It was, and is not held back.
        """
        if self._asked and self._at_once:
            raise SystemExit(1)

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """What is in hand comes to its end first."""
        self._at_once = False
        try:
            yield
        finally:
            self._at_once = True
