"""`dibmg echo`: do the destinations answer?"""

from __future__ import annotations

import sys

import click
from rich.markup import escape
from rich.table import Table

from dibmg_node.cli.completion import destination_names
from dibmg_node.cli.exits import EXIT_FAILED
from dibmg_node.cli.options import check_destination, print_json, with_config, with_json
from dibmg_node.cli.tables import console
from dibmg_node.config import Settings
from dibmg_node.errors import DibmgError
from dibmg_node.wiring.destinations import open_senders
from dibmg_node.wiring.foundation import now


@click.command(epilog="Example: dibmg echo pacs")
@click.argument("destination", required=False, shell_complete=destination_names)
@with_config
@with_json
def echo(destination: str | None, settings: Settings, as_json: bool) -> None:
    """Ask one destination, or all, for a sign of life; exit code 1 if one does not answer.

    C-ECHO, or for STOW-RS a query for a study that nobody has: it tells whether the URL is right and
    whether the node is authorized.
    """
    senders = open_senders(settings, now)
    if destination is not None:
        check_destination(settings, destination)
        senders = {destination: senders[destination]}
    answers = []
    for name, sender in senders.items():
        try:
            sender.echo()
            answers.append({"destination": name, "peer": sender.who, "answers": True, "reason": ""})
        except DibmgError as error:
            answers.append({"destination": name, "peer": sender.who, "answers": False, "reason": str(error)})
    if as_json:
        print_json(answers)
    elif not answers:
        click.echo("no destination is configured")
    else:
        table = Table("destination", "peer", "answer")
        for answer in answers:
            word = "[green]answers[/]" if answer["answers"] else f"[red]{escape(str(answer['reason']))}[/]"
            table.add_row(str(answer["destination"]), escape(str(answer["peer"])), word)
        console.print(table)
    if not all(answer["answers"] for answer in answers):
        sys.exit(EXIT_FAILED)
