"""Walls that import-linter cannot see: what a process loads when it starts."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "dibmg_node.services.intake",
        "dibmg_node.services.acceptor",
        "dibmg_node.roles",
        "dibmg_node.web.app",
        "dibmg_node.web.server",
        "dibmg_node.cli.main",
        "dibmg_node.node",
        "dibmg.predictor",
    ],
)
def test_no_process_loads_tensorflow_by_being_imported(module: str) -> None:
    program = (
        f"import sys, {module}; print([m for m in ('tensorflow', 'keras', 'torch') if m in sys.modules])"
    )

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "[]"


def test_only_the_web_process_loads_the_http_server() -> None:
    program = "import sys, dibmg_node.cli.main; print('uvicorn' in sys.modules, 'starlette' in sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert loaded.stdout.split() == ["False", "False"]
