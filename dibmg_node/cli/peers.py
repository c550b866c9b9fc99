"""`dibmg echo`: do the destinations answer?"""

from __future__ import annotations

import sys

import click
from rich.markup import escape
from rich.table import Table

from dibmg_node import wiring
from dibmg_node.cli.options import (
    EXIT_FAILED,
    EXIT_UNKNOWN,
    console,
    fail,
    print_json,
    with_config,
    with_json,
)
from dibmg_node.config import Settings
from dibmg_node.errors import DibmgError


@click.command(epilog="Example: dibmg echo pacs")
@click.argument("destination", required=False)
@with_config
@with_json
def echo(destination: str | None, settings: Settings, as_json: bool) -> None:
    """Send C-ECHO to one destination, or to all; exit code 1 if one does not answer."""
    senders = wiring.senders(settings)
    if destination is not None:
        if destination not in senders:
            fail(f"no destination {destination!r} in the configuration", EXIT_UNKNOWN)
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
