"""Walls that import-linter cannot see: what a process loads when it starts."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dibmg_node.wiring.role_choice import Role

NETWORKS = ["tensorflow", "keras", "torch", "openvino"]
SERVERS = ["starlette", "uvicorn", "jinja2", "prometheus_client"]
CLIENTS = ["httpx", "joserfc", "cryptography", "opentelemetry", "rich", "fsspec"]
DECODERS = ["cv2", "imagecodecs"]
LEFT_OUT = {
    Role.INTAKE: [*NETWORKS, *SERVERS, *CLIENTS, *DECODERS, "celery", "smtplib", "alembic", "argon2"],
    Role.WEB: [*NETWORKS, *CLIENTS, "cv2", "smtplib", "alembic"],
    Role.SWEEP: [*NETWORKS, *SERVERS, *CLIENTS, *DECODERS, "pynetdicom", "alembic", "argon2"],
    Role.ANALYSIS: [*NETWORKS, *SERVERS, *CLIENTS, "pynetdicom", "smtplib", "alembic", "argon2"],
    Role.SHADOW: [*NETWORKS, *SERVERS, *CLIENTS, "celery", "pynetdicom", "smtplib", "alembic", "argon2"],
    Role.DELIVERY: [*NETWORKS, *SERVERS, *CLIENTS, "cv2", "smtplib", "alembic", "argon2"],
}
"""What a process of each role has no use for, unless its configuration or what comes to it asks for it."""


def loaded(modules: str, which: list[str]) -> list[str]:
    """Those of the modules that are there once others are imported."""
    program = f"import sys, {modules}; print(*(one for one in {which!r} if one in sys.modules))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return ended.stdout.split()


@pytest.mark.parametrize("module", ["dibmg_node.cli.up", "dibmg_node.cli.status", "dibmg.predictor"])
def test_no_process_loads_a_network_by_being_imported(module: str) -> None:
    assert loaded(module, NETWORKS) == []


@pytest.mark.parametrize("role", Role)
def test_a_process_of_the_node_loads_nothing_that_its_role_has_no_use_for(role: Role) -> None:
    modules = f"dibmg_node.cli.run, dibmg_node.roles.{role.value}"

    assert loaded(modules, LEFT_OUT[role]) == []


def test_the_process_of_a_model_loads_neither_ledger_nor_settings() -> None:
    assert (
        loaded("dibmg_node.wiring.model_process, dibmg.predictor", ["sqlalchemy", "dibmg_node.config"]) == []
    )


def test_the_help_of_the_program_waits_for_no_command() -> None:
    program = (
        "import sys; from click.testing import CliRunner; from dibmg_node.cli.main import cli\n"
        "assert 'status' in CliRunner().invoke(cli, ['--help'], catch_exceptions=False).output\n"
        "print(*(one for one in sys.modules if one.startswith('dibmg_node.cli.')))"
    )

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert set(ended.stdout.split()) == {f"dibmg_node.cli.{one}" for one in ("main", "commands", "exits")}
