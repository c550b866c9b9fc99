"""The process that draws pictures: it has the decoders, and the web server that starts it does without."""

from __future__ import annotations

from collections.abc import Callable

from dibmg_node.services.picture_orders import Order


def build_painter() -> Callable[[Order], bytes]:
    """What the sandbox's child does with orders."""
    # only the child needs it, and only the child has it
    from dibmg_node.services.painter import Painter

    return Painter().paint
