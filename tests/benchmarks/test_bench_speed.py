"""The short form of `make bench`: every benchmark still runs; its figures mean nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.bench
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["receiving", "decoding", "network", "one_exam"])
def test_the_short_form_measures_without_an_error(name: str, tmp_path: Path) -> None:
    paths = os.pathsep.join(str(ROOT / one) for one in ("", "model", "deploy/demo"))

    subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--short", "--out", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
        check=True,
    )

    (told,) = tmp_path.glob("*.json")
    figures = json.loads(told.read_text())
    assert figures["machine"]["cores"] >= 1
    assert len(figures) > 2
