"""`dibmg run`: one process of the node, as `dibmg up` starts it."""

from __future__ import annotations

import click

from dibmg_node.cli.options import with_config
from dibmg_node.config import Settings
from dibmg_node.logs import start_logging
from dibmg_node.roles.play import play
from dibmg_node.wiring import foundation
from dibmg_node.wiring.role_choice import Role


@click.command(hidden=True)
@click.argument("role", type=click.Choice([role.value for role in Role]))
@with_config
def run(role: str, settings: Settings) -> None:
    """Run one process of the node; `dibmg up` starts them all."""
    start_logging(role, foundation.log_folder(settings), settings.node.log_level)
    play(Role(role), settings)
