"""`dibmg config`: the configuration file."""

from __future__ import annotations

import click

from dibmg_node.cli.options import print_json, with_config, with_json
from dibmg_node.config import Settings
from dibmg_node.health.node_check import check_node
from dibmg_node.wiring.exposure import missing_users


@click.group()
def config() -> None:
    """The configuration file."""


@config.command("check", epilog="Example: dibmg config check --config config.toml")
@with_config
@with_json
def config_check(settings: Settings, as_json: bool) -> None:
    """Check the file, and that weights, runtime, secrets and certificates are here.

    Exit code 2 with every complaint. A file of users that is not there is told, and no complaint: `dibmg user
    add` writes it.
    """
    check_node(settings)
    users = missing_users(settings)
    if users is not None:
        told = f"web.users: {users} is not there: until it is, nobody logs in to the dashboard by password"
        click.echo(told, err=True)
    file = str(settings.path) if settings.path else None
    if as_json:
        print_json({"valid": True, "file": file})
    else:
        click.echo(f"{file or 'no file, every value is the default'}: valid")


@config.command("show", epilog="Example: dibmg config show --json")
@with_config
@with_json
def config_show(settings: Settings, as_json: bool) -> None:
    """Show every value in force, defaults included."""
    values = settings.model_dump(mode="json")
    if as_json:
        print_json(values)
        return
    for section, content in values.items():
        for place, part in enumerate(content if isinstance(content, list) else [content or {}]):
            name = f"{section}[{place}]" if isinstance(content, list) else section
            for key, value in part.items():
                click.echo(f"{name}.{key} = {value}")
