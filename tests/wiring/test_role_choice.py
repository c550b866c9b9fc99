from __future__ import annotations

from pathlib import Path

import pytest

from dibmg_node.config import Settings, load_settings
from dibmg_node.errors import ConfigError
from dibmg_node.wiring.role_choice import Role, check_roles, roles_of

SERVERS = """
[ledger]
url = "postgresql+psycopg://dibmg@db/dibmg"
[broker]
url = "redis://broker:6379/0"
"""


def settings(folder: Path, text: str) -> Settings:
    path = folder / "config.toml"
    path.write_text(text)
    return load_settings(path)


def test_a_node_does_everything_unless_it_is_told_otherwise() -> None:
    assert roles_of(Settings()) == (Role.INTAKE, Role.SWEEP, Role.ANALYSIS, Role.DELIVERY)


def test_a_worker_needs_a_ledger_that_others_reach(tmp_path: Path) -> None:
    worker = settings(tmp_path, '[node]\nroles = ["analysis"]\n')

    with pytest.raises(ConfigError, match="without intake, sweep, delivery this node needs the ledger"):
        check_roles(worker)


def test_a_worker_with_servers_is_fine(tmp_path: Path) -> None:
    worker = settings(tmp_path, '[node]\nroles = ["analysis"]\n' + SERVERS)

    check_roles(worker)

    assert roles_of(worker) == (Role.ANALYSIS,)


def test_a_web_host_needs_its_section(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"node.roles: web has no section \[web\]"):
        check_roles(settings(tmp_path, '[node]\nroles = ["web"]\n' + SERVERS))


def test_roles_of_the_command_line_take_the_place_of_the_files(tmp_path: Path) -> None:
    given = settings(tmp_path, '[node]\nname = "w1"\nroles = ["analysis"]\n' + SERVERS)

    chosen = given.with_roles(["delivery", "sweep"])

    assert roles_of(chosen) == (Role.SWEEP, Role.DELIVERY)
    assert (chosen.node_name, chosen.folder) == ("w1", tmp_path)


@pytest.mark.parametrize("roles", [["reading"], []])
def test_a_role_that_there_is_not_is_told(roles: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"^roles"):
        Settings().with_roles(roles)
