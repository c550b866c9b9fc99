"""An analysis worker until its model is warm, as `dibmg run analysis` starts it; then it says so and ends.

python -m benchmarks.worker_start CONFIG
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from dibmg_node.config import load_settings
from dibmg_node.roles import analysis
from dibmg_node.wiring import foundation


def start_seconds(config: Path) -> float:
    """From the start of the process to the end of its warm-up view."""
    begun = time.monotonic()
    command = [sys.executable, "-m", "benchmarks.worker_start", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        seconds = time.monotonic() - begun
    if told != "warm\n":
        raise RuntimeError(f"the worker said {told!r}, expected 'warm'")
    return seconds


def main() -> None:
    """Start, tell, end."""
    settings = load_settings(Path(sys.argv[1]))
    ledger = foundation.open_node_ledger(settings)
    # by way of the role's own module: what that imports is part of the start
    analyst = analysis.make_analyst(settings, ledger, __name__)
    analyst.sandbox.start()
    print("warm", flush=True)
    analyst.sandbox.stop()
    ledger.engine.dispose()


if __name__ == "__main__":
    main()
