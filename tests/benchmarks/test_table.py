"""The table of all figures."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.figures import rows
from benchmarks.row import Aim
from benchmarks.table import NOT_MEASURED, README, read_results, renewed, table

MACHINE = {
    "processor": "CPU",
    "cores": 2,
    "flags": ["avx2"],
    "memory_gb": 8,
    "kernel": "6.1",
    "load": 0.1,
    "python": "3.11",
    "libraries": {"numpy": "2"},
}


def _day(exams_per_s: float, growth: float) -> dict[str, Any]:
    memory = {"all": {"first_third_mb": 1000.0, "last_third_mb": 1000.0 * growth}}
    figures = {
        "exams_per_s": exams_per_s,
        "limit_exams_per_s": 2.0,
        "of_limit": exams_per_s / 2,
        "growth": growth,
        "memory": memory,
        "queue_age": {"max_s": 9.0},
        "results_lost": 0,
    }
    return {"day": {"machine": MACHINE, "by_syntax": {"uncompressed": figures}}}


def _line(found: dict[str, Any], begin: str) -> list[str]:
    (line,) = [line for line in table(found) if line.startswith(f"| {begin} |")]
    return [cell.strip() for cell in line.split("|")[2:7]]


def test_the_table_of_the_document_is_that_of_the_results() -> None:
    text = README.read_text()

    assert renewed(text, read_results()) == text


def test_a_figure_without_a_file_is_not_measured() -> None:
    assert _line({}, "a day, f32, uncompressed")[0] == NOT_MEASURED


@pytest.mark.parametrize(("exams_per_s", "met"), [(1.0, "yes"), (0.99, "**no**")])
def test_a_figure_is_held_against_its_aim(exams_per_s: float, met: str) -> None:
    cells = _line(_day(exams_per_s, 1.0), "a day, f32, uncompressed")

    assert cells[3:] == ["≥ 1", met]


@pytest.mark.parametrize(("growth", "met"), [(1.05, "yes"), (1.06, "**no**")])
def test_a_ratio_is_held_against_the_aim_of_the_ratio(growth: float, met: str) -> None:
    cells = _line(_day(1.0, growth), "a day, f32, uncompressed: memory of all processes, last third")

    assert cells[3:] == ["ratio ≤ 1.05", met]


def test_a_row_shows_figure_limit_and_their_ratio() -> None:
    cells = _line(_day(1.5, 1.0), "a day, f32, uncompressed")

    assert cells[:3] == ["1.5 exams/s", "the model's process alone, on all cores: 2", "0.75"]


def test_every_file_tells_its_machine() -> None:
    last = list(table(_day(1.0, 1.0)))[-1]

    assert last.startswith("- day: CPU, 2 cores (avx2), 8 GB, Linux 6.1, load 0.1")


def test_what_is_around_the_table_stays() -> None:
    text = README.read_text()

    changed = renewed(text, _day(1.0, 1.0))

    assert changed != text
    assert renewed(changed, read_results()) == text


def test_no_two_rows_tell_the_same() -> None:
    told = [(row.what, row.beside) for row in rows()]

    assert len(set(told)) == len(told)


def test_at_least_and_at_most_include_their_bound() -> None:
    assert Aim(1.0).is_met(1.0)
    assert not Aim(1.0).is_met(0.9)
    assert Aim(1.0, at_least=False).is_met(1.0)
    assert not Aim(1.0, at_least=False).is_met(1.1)
