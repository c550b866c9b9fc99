"""What associations cost that say nothing."""

from __future__ import annotations

import time
from contextlib import ExitStack

from benchmarks.family import family_cpu_seconds
from tests.faults.receiving_processes import ReceivingProcesses

ASSOCIATIONS = 64


def idle_share(node: ReceivingProcesses, seconds: float) -> float:
    """Share of one core that the intake uses while 64 associations are open and silent."""
    with ExitStack() as stack:
        for _ in range(ASSOCIATIONS):
            stack.enter_context(node.peer()).associate()
        before, begun = family_cpu_seconds(node.pid()), time.monotonic()
        time.sleep(seconds)
        return round((family_cpu_seconds(node.pid()) - before) / (time.monotonic() - begun), 4)
