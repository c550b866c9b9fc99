"""`dibmg weights`: the sets of weights at hand."""

from __future__ import annotations

import click
from rich.markup import escape
from rich.table import Table

from dibmg.runtime import check_network
from dibmg.weights import list_weights, load_weights
from dibmg_node.cli.options import print_json, with_json
from dibmg_node.cli.tables import console


@click.group()
def weights() -> None:
    """The weights of DIB-MG."""


@weights.command("list", epilog="Example: dibmg weights list")
@with_json
def weights_list(as_json: bool) -> None:
    """List the released sets."""
    sets = [load_weights(name) for name in list_weights()]
    if as_json:
        print_json(
            [
                {"name": s.name, "version": s.version, "trained_on": s.trained_on, "license": s.license}
                for s in sets
            ]
        )
        return
    table = Table("name", "version", "trained on", "license")
    for one in sets:
        table.add_row(one.name, one.version, escape(one.trained_on), escape(one.license))
    console.print(table)


@weights.command("verify", epilog="Example: dibmg weights verify default")
@click.argument("name_or_folder", default="default")
@with_json
def weights_verify(name_or_folder: str, as_json: bool) -> None:
    """Compare every file of a set with its manifest, and its network with what the manifest says."""
    found = load_weights(name_or_folder)
    check_network(found)
    if as_json:
        print_json({"name": found.name, "version": found.version, "valid": True})
    else:
        click.echo(f"{found.name} {found.version}: files and manifest agree")
