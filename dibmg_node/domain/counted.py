"""Numbers in sentences: 1 study, 2 studies."""

from __future__ import annotations


def counted(number: float, one: str, many: str = "") -> str:
    """A number with what it counts.

    Args:
        number: How many.
        one: What stands behind 1.
        many: What stands behind every other number; empty: `one` with an s.
    """
    told = f"{number:g}" if isinstance(number, float) else str(number)
    return f"{told} {one if number == 1 else many or one + 's'}"
