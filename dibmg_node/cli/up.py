"""`dibmg up`: the whole node."""

from __future__ import annotations

import click

from dibmg_node.cli.exits import EXIT_CONFIG, fail
from dibmg_node.cli.options import with_config
from dibmg_node.config import Settings
from dibmg_node.logs import start_logging
from dibmg_node.machine.data_folder import keep_from_others, make_data_folder
from dibmg_node.node import Node
from dibmg_node.wiring import foundation


@click.command(epilog="Example: dibmg up --config config.toml. On a worker: dibmg up --roles analysis")
@with_config
@click.option("--roles", help="Instead of node.roles: intake, sweep, analysis, delivery, web; comma between.")
def up(settings: Settings, roles: str | None) -> None:
    """Run the whole node in the foreground, or those roles of it that this machine has.

    Prints `ready` on standard error when it accepts associations. Ctrl-C or SIGTERM drains: what is in
    hand is finished, what is not stays in the ledger. A second Ctrl-C ends it at once.
    """
    if roles is not None:
        settings = settings.with_roles(roles.replace(",", " ").split())
    try:
        keep_from_others()
        make_data_folder(settings.data_dir)
        start_logging("node", foundation.log_folder(settings), settings.node.log_level)
        Node(settings, lambda line: click.echo(line, err=True)).run()
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", EXIT_CONFIG)
