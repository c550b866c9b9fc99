"""The short forms of `make bench` and `make bench-day`: each still runs; their figures mean nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from benchmarks import day, decoding, network, one_exam, receiving
from benchmarks.arguments import SHORT_SIZE, Chosen, Measure, perform
from benchmarks.exams import SYNTAXES_OF_A_DAY
from benchmarks.site import Site, running_site
from benchmarks.table import NOT_MEASURED, read_results, table

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Chosen:
    folder = tmp_path_factory.mktemp("bench")
    return Chosen(rounds=1, short=True, weights=folder / "weights", out=folder / "results")


@pytest.fixture(scope="module")
def site(chosen: Chosen, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site"), chosen, SHORT_SIZE) as site:
        yield site


def _both_syntaxes(site: Site, chosen: Chosen, folder: Path) -> Mapping[str, object]:
    found = {name: day.measure_at(site, name, chosen, folder) for name in SYNTAXES_OF_A_DAY}
    return {"by_syntax": found}


def _train(out: Path) -> None:
    """As a command, in a process of its own: OpenVINO has threads in this one, and TensorFlow has run."""
    paths = os.pathsep.join(str(ROOT / one) for one in ("", "model", "deploy/demo"))
    command = [sys.executable, "-m", "benchmarks.training", "--short", "--out", str(out)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}, check=True)


def test_every_short_form_measures_what_the_table_tells(chosen: Chosen, site: Site) -> None:
    benchmarks: dict[str, Measure] = {
        "one-exam": partial(one_exam.measure_at, site),
        "day": partial(_both_syntaxes, site),
        "network": network.measure,
        "decoding": decoding.measure,
        "receiving": receiving.measure,
    }

    for name, measure in benchmarks.items():
        perform(name, measure, chosen)
    _train(chosen.out)

    missing = [line for line in table(read_results(chosen.out)) if NOT_MEASURED in line]
    # the same in another precision, at another size, with other weights
    left_out = (
        "training at 1600",
        "network, default",
        "one exam, bf16",
        "bf16, of its CPU time",
        "a day, bf16",
    )
    assert [line for line in missing if not line.startswith(tuple(f"| {name}" for name in left_out))] == []
