"""The short form of `make chaos`."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.chaos.course import Course, run


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_kills_of_random_parts_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = secrets.randbelow(10**6)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when this fails

    outcome = run(Course(seed, instances=100, kills=10), tmp_path, print)

    assert outcome.account.faults() == {}, f"repeat with --seed {seed}: {outcome.figures}"
    assert outcome.figures["instances_acknowledged"] >= 100
    assert outcome.figures["kills_total"] >= 10
