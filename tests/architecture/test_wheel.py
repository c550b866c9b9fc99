"""The wheel holds both packages, the weights and the migrations, and works from where pip puts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_built_wheel_installs_and_its_weights_verify(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    program = "import dibmg, dibmg_node; print(dibmg.__file__); print(dibmg_node.__file__)"

    where = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    verified = subprocess.run(
        [sys.executable, "-m", "dibmg_node", "weights", "verify"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert all(Path(line).is_relative_to(site) for line in where.stdout.split())
    assert "files and manifest agree" in verified.stdout
    assert sorted((site / "dibmg_node" / "storage" / "migrations" / "versions").glob("*.py"))
    web = site / "dibmg_node" / "web"
    assert all(
        (web / file).is_file() for file in ("templates/study.html", "static/pages.css", "static/pages.js")
    )
