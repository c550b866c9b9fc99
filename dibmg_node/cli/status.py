"""`dibmg status`: is the node well?"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

import click
from rich.live import Live

from dibmg_node.cli.existing_ledger import open_existing_ledger
from dibmg_node.cli.options import NumberRange, print_json, with_config, with_json
from dibmg_node.cli.status_page import status_page, summary
from dibmg_node.cli.tables import console
from dibmg_node.config import Settings
from dibmg_node.errors import DibmgError, LedgerUnavailableError
from dibmg_node.health.condition import EXIT_CODES, UNKNOWN
from dibmg_node.health.look import look
from dibmg_node.machine.latch import Latch
from dibmg_node.storage.ledger import Ledger
from dibmg_node.wiring.foundation import now
from dibmg_node.wiring.role_choice import roles_of

_EVERY: Final = 2.0


@click.command(
    epilog="Example: dibmg status --watch. Exit codes, as monitoring plugins have them: 0 healthy, "
    "1 degraded, 2 down, 3 the ledger does not answer. The first line of the output says it all."
)
@click.option(
    "--watch",
    "every",
    is_flag=False,
    flag_value=_EVERY,
    type=NumberRange(0.1, 86_400),
    metavar="[SECONDS]",
    help=f"Show it anew every so many seconds ({_EVERY:g}) until Ctrl-C; with --json one line each time.",
)
@with_config
@with_json
def status(every: float | None, settings: Settings, as_json: bool) -> None:
    """Show at a glance how the node is."""
    watched = _Watched(settings)
    if every is None:
        found = watched.look()
        if as_json:
            print_json(found)
        else:
            _print(found)
    else:
        found = _watch(watched.look, every, as_json)
    sys.exit(EXIT_CODES[found["health"]])


class _Watched:
    """The node, looked at again and again over one connection to its ledger."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ledger: Ledger | None = None

    def look(self) -> dict[str, Any]:
        """How it is now; a ledger that does not answer is a finding, too."""
        try:
            self._ledger = self._ledger or open_existing_ledger(self._settings)
            return look(self._settings, self._ledger, roles_of(self._settings))
        except LedgerUnavailableError as error:
            return {"health": UNKNOWN, "reasons": [str(error)], "ledger": {"answers": False}}
        except DibmgError as error:
            return {"health": "down", "reasons": [str(error)]}


def _watch(see: Callable[[], dict[str, Any]], every: float, as_json: bool) -> dict[str, Any]:
    """Show it again and again until somebody ends that; what was seen last."""
    ended = Latch()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    found = see()
    if as_json or not console.is_terminal:
        while True:
            if as_json:
                click.echo(json.dumps(found, default=str))
            else:
                _print(found)
                click.echo()
            sys.stdout.flush()
            if ended.wait(every):
                return found
            found = see()
    with Live(status_page(found, now()), console=console, screen=True, auto_refresh=False) as live:
        while not ended.wait(every):
            found = see()
            live.update(status_page(found, now()), refresh=True)
    _print(found)
    return found


def _print(found: dict[str, Any]) -> None:
    # never folded: monitors show the first line alone
    click.echo(summary(found))
    page = status_page(found, now())
    if console.is_terminal:
        console.print(page)
        return
    with console.capture() as told:
        console.print(page)
    # what fills the lines up on a terminal is of no use in a file
    click.echo("\n".join(line.rstrip() for line in told.get().splitlines()))
