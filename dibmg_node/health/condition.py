"""The node's condition: what is wrong, and the word and the exit code for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

UNKNOWN: Final = "unknown"
"""The ledger does not answer: nobody can tell."""

EXIT_CODES: Final = {"healthy": 0, "degraded": 1, "down": 2, UNKNOWN: 3}
"""Those of monitoring plugins: OK, WARNING, CRITICAL, UNKNOWN."""


@dataclass
class Health:
    """What is wrong, and how the node therefore is."""

    down: list[str] = field(default_factory=list)
    degraded: list[str] = field(default_factory=list)

    @property
    def word(self) -> str:
        """healthy, degraded or down."""
        return "down" if self.down else "degraded" if self.degraded else "healthy"
