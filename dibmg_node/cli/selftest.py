"""`dibmg selftest`: an invented exam through the running node."""

from __future__ import annotations

import signal
import sys

import click
from rich.markup import escape

from dibmg_node.cli.existing_ledger import open_existing_ledger
from dibmg_node.cli.exits import EXIT_CONFIG, EXIT_FAILED, fail
from dibmg_node.cli.options import NumberRange, print_json, with_config, with_json
from dibmg_node.cli.tables import console
from dibmg_node.config import Settings
from dibmg_node.domain.selftest import StepOutcome, broken
from dibmg_node.errors import ConfigError, DibmgError
from dibmg_node.selftest.course import run_selftest
from dibmg_node.selftest.stop import Stop


@click.command(
    epilog="Example: dibmg selftest --config config.toml. Exit codes: 0 every step passed, 1 one broke, 2 it "
    "could not be carried out. For research use only."
)
@click.option(
    "--timeout",
    "timeout_seconds",
    type=NumberRange(1, 3600),
    default=300,
    show_default=True,
    help="Seconds that the node may take.",
)
@with_config
@with_json
def selftest(timeout_seconds: float, settings: Settings, as_json: bool) -> None:
    """Send an invented exam with a known lesion through the running node, and check what comes out.

    By its real port, queue, model and delivery to a PACS of the test's own on the loopback address; no
    destination gets any of it, no figure counts it, and it is removed again.
    """
    # the node ends one so that is running when it stops: what was sent is removed first
    stop = Stop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: stop.ask())
    try:
        ledger = open_existing_ledger(settings)
        steps = run_selftest(
            settings, ledger, timeout_seconds, (lambda one: None) if as_json else _print, stop
        )
    except ConfigError:
        raise
    except DibmgError as error:
        fail(str(error), EXIT_CONFIG)
    fault = broken(steps)
    if as_json:
        print_json(
            {
                "passed": fault is None,
                "broken_step": fault.step.value if fault else None,
                "reason": fault.found if fault else "",
                "remedy": fault.remedy if fault else "",
                "steps": [one.as_json() for one in steps],
            }
        )
    elif fault:
        console.print(f"[bold red]broken at {fault.step}[/]  research use only, not for diagnosis")
    else:
        console.print("[bold green]passed[/]  research use only, not for diagnosis")
    if fault:
        sys.exit(EXIT_FAILED)


def _print(outcome: StepOutcome) -> None:
    word = "[green]ok    [/]" if outcome.passed else "[red]broken[/]"
    console.print(f"{word} {outcome.step:<12} {outcome.seconds:7.2f} s  {escape(outcome.found)}")
    if outcome.remedy:
        console.print(f"       [yellow]{escape(outcome.remedy)}[/]")
