"""`dibmg alarms`: what holds now, since when, and whether anybody would hear of it."""

from __future__ import annotations

import sys

import click
from rich.markup import escape
from rich.table import Table

from dibmg_node.cli.existing_ledger import open_existing_ledger
from dibmg_node.cli.exits import EXIT_FAILED, fail
from dibmg_node.cli.options import print_json, with_config, with_json
from dibmg_node.cli.tables import console
from dibmg_node.config import Settings
from dibmg_node.domain.alarm import AlarmEvent, AlarmMessage
from dibmg_node.errors import DibmgError
from dibmg_node.health.alarming import node_name, open_channels
from dibmg_node.wiring import foundation


@click.group(
    invoke_without_command=True,
    epilog="Example: dibmg alarms --config config.toml. Exit codes: 0 no alarm, 1 alarms.",
)
@with_config
@with_json
@click.pass_context
def alarms(context: click.Context, settings: Settings, as_json: bool) -> None:
    """List what holds now and since when.

    What has not held for alarms.hold_seconds yet is listed, but is no alarm.
    """
    if context.invoked_subcommand is not None:
        return
    found = open_existing_ledger(settings).alarms.open()
    if as_json:
        keys = ("key", "subject", "sentence", "since")
        print_json([{**{k: vars(one)[k] for k in keys}, "alarm": one.raised_at is not None} for one in found])
    else:
        table = Table("", "key", "subject", "since", "what holds")
        for one in found:
            word = "[red]alarm[/]" if one.raised_at else "not yet"
            since = f"{one.since.astimezone():%Y-%m-%d %H:%M:%S}"
            table.add_row(word, one.key, escape(one.subject), since, escape(one.sentence))
        console.print(table if found else "no alarm")
    sys.exit(EXIT_FAILED if any(one.raised_at for one in found) else 0)


@alarms.command("test", epilog="Example: dibmg alarms test")
@with_config
@with_json
def alarms_test(settings: Settings, as_json: bool) -> None:
    """Send a test message to every [[alarm_channel]] now.

    Exit code 1 where one of them could not be told.
    """
    if not settings.alarm_channel:
        fail("no [[alarm_channel]] is configured", EXIT_FAILED)
    now = foundation.now()
    message = AlarmMessage(
        uid=f"test-{now:%Y%m%dT%H%M%S.%f}",
        event=AlarmEvent.TEST,
        key="test",
        subject="",
        sentence="This is a test: nothing is wrong.",
        since=now,
        at=now,
        node=node_name(settings),
    )
    told = {}
    for name, channel in open_channels(settings, foundation.now).items():
        try:
            channel.tell(message)
            told[name] = ""
        except DibmgError as error:
            told[name] = str(error)
    if as_json:
        print_json([{"channel": name, "told": not why, "reason": why} for name, why in told.items()])
    else:
        for name, why in told.items():
            console.print(escape(f"{name}: {why or 'told'}"))
    sys.exit(EXIT_FAILED if any(told.values()) else 0)
