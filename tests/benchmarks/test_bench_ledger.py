"""The short form of `make bench-ledger`: it runs through, whatever it takes."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from benchmarks.ledger import DATABASES, Bench, table
from benchmarks.ledger_measures import filters_of_command
from benchmarks.timing import Stopwatch, Timing


@pytest.mark.bench
@pytest.mark.parametrize("database", DATABASES)
# a command opens a ledger of its own and ends with its process; here many of them share one
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_small_ledger_is_seeded_measured_and_measured_again(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # undone with the test: the benchmark sets it for the commands that it runs
    monkeypatch.setenv("DIBMG_LEDGER_PASSWORD", "")
    # the server's account cannot enter pytest's own folders
    with TemporaryDirectory(prefix="dibmg-bench-") as folder:
        Path(folder).chmod(0o755)
        bench = Bench(Path(folder), studies=400, runs=1)

        first = list(bench.timings(database))
        seeded_at = (Path(folder) / f"{database}-400" / "seeded.json").read_text()
        again = list(bench.timings(database)) if database == "sqlite" else first

        assert (Path(folder) / f"{database}-400" / "seeded.json").read_text() == seeded_at
    assert [one.name for one in first] == [one.name for one in again]
    assert {"command", "page", "sweep", "step"} == {one.kind for one in first}
    measured = " ".join(one.name for one in first)
    assert all(
        f"--{name.replace('_', '-')}" in measured for name in filters_of_command() if name not in RENAMED
    )
    assert all(page in measured for page in ("/destinations", "/senders", "/model", "/metrics"))


RENAMED = frozenset({"begin", "end"})
"""Filters whose option has another name than their parameter."""


def test_a_median_above_the_limit_is_too_slow_and_said_so() -> None:
    slow = Timing("sqlite", "page", "/", 200.0, 900.0, (100.0, 201.0, 300.0), 90.0)
    fast = Timing("sqlite", "page", "/", 200.0, 900.0, (100.0, 199.0, 300.0), 90.0)

    lines = list(table([slow, fast]))

    assert "too slow" in lines[2]
    assert "too slow" not in lines[3]


def test_the_first_time_is_none_of_those_that_the_median_is_of() -> None:
    done: list[str] = []

    found = Stopwatch("sqlite", None, 3).measure(
        "step", "x", lambda: done.append("work"), before=lambda: done.append("before")
    )

    assert done == ["before", "work"] * 4
    assert len(found.wall_ms) == 3
    assert found.limit_ms is None
    assert not found.is_too_slow
