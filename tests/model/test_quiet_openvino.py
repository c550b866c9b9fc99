"""OpenVINO tells nobody that it is used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_the_runtime_loads_no_telemetry_and_leaves_nothing_at_home(tmp_path: Path) -> None:
    kept = {
        name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")
    }
    code = (
        "import sys, dibmg.runtime_openvino, dibmg.export\n"
        "print([name for name in sys.modules if name.startswith('openvino_telemetry.')])"
    )

    told = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert told.stdout.strip() == "[]"
    assert not (tmp_path / "intel").exists()
