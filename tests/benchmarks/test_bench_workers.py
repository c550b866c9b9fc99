"""The short form of `make bench-workers`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.workers import Throughput, table


@pytest.mark.bench
def test_two_workers_on_real_servers_do_all_studies() -> None:
    # in a process of its own: the workers are forked from it
    command = [sys.executable, "-m", "benchmarks.workers", "--workers", "1", "2", "--seconds", "0.2"]

    done = subprocess.run(
        [*command, "--rounds", "6"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith(("| 1 ", "| 2 "))]
    assert len(rows) == 4


def test_the_share_of_linear_is_that_of_the_first_number_of_workers() -> None:
    lines = list(
        table(
            [
                Throughput(1, 8, 1.0, None, 10.0, 5.0, 1.0, 0.1),
                Throughput(2, 16, 1.8, 0.9, 10.0, 5.0, 1.0, 0.2),
            ]
        )
    )

    assert "| 2 | 1.80 | 90 % |" in lines[3]
