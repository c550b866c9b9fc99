"""The short form of `make soak`."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak import Sample, grown, soak


def test_what_intake_holds_is_flat_over_associations_of_every_kind(tmp_path: Path) -> None:
    samples = list(soak(tmp_path, 210, samples=3))

    assert samples[-1].associations == 210
    assert grown(samples) == []


@pytest.mark.parametrize(
    ("last", "word"),
    [
        (Sample(9, 120, 5, 10), "memory"),
        (Sample(9, 100, 6, 10), "threads"),
        (Sample(9, 100, 5, 15), "descriptors"),
    ],
)
def test_what_grew_is_told(last: Sample, word: str) -> None:
    complaints = grown([Sample(1, 100, 5, 10), last])

    assert [word in complaint for complaint in complaints] == [True]
