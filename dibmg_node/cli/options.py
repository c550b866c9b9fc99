"""Options that commands share, and how a command ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from rich.console import Console
from rich.table import Column

from dibmg_node import wiring
from dibmg_node.config import InvalidSettingsError, Settings, load_settings
from dibmg_node.errors import ConfigError, PermanentError
from dibmg_node.storage.compatibility import check_readable
from dibmg_node.storage.ledger import Ledger

EXIT_FAILED = 1
EXIT_CONFIG = 2
EXIT_UNKNOWN = 3
"""The study that the command line names is not there."""

Command = TypeVar("Command", bound=Callable[..., Any])

console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def with_config(command: Command) -> Command:
    """Add `--config`, handed in as checked settings; `config.toml` of the working folder by default."""
    option = click.option(
        "--config",
        "settings",
        type=click.Path(path_type=Path, dir_okay=False),
        default=None,
        callback=_load,
        help="Configuration file. Default: config.toml in this folder, where there is one.",
    )
    return option(command)


def with_json(command: Command) -> Command:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="JSON for programs instead of a table.")(
        command
    )


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(value, indent=2, default=str))


def open_existing_ledger(settings: Settings) -> Ledger:
    """The ledger of a node that has been up before.

    Raises:
        PermanentError: There is none, or its schema is not for this program.
    """
    if settings.ledger.url == "embedded" and not (settings.data_dir / "ledger.sqlite").exists():
        raise PermanentError(f"no ledger below {settings.data_dir}: this node was never up ('dibmg up')")
    ledger = wiring.open_node_ledger(settings)
    check_readable(ledger.engine)
    return ledger


def uid_column(title: str) -> Column:
    """A column of UIDs, never cut: people copy them."""
    return Column(title, overflow="fold", min_width=32)


def fail(message: str, code: int) -> NoReturn:
    """End with a message on standard error."""
    click.echo(f"dibmg: {message}", err=True)
    sys.exit(code)


def _load(context: click.Context, _: click.Parameter, path: Path | None) -> Settings | Path | None:
    if context.resilient_parsing:  # a shell asks how the command line may go on
        return path
    if path is None and Path("config.toml").exists():
        path = Path("config.toml")
    try:
        return load_settings(path)
    except ConfigError as error:
        for complaint in [*error.complaints, *_further(error)]:
            click.echo(complaint, err=True)
        sys.exit(EXIT_CONFIG)


def _further(error: ConfigError) -> Sequence[str]:
    """What is wrong besides: with the keys that are valid, a node could not come up either."""
    if not isinstance(error, InvalidSettingsError) or error.rest is None:
        return ()
    try:
        wiring.check_node(error.rest)
    except ConfigError as others:
        return others.complaints
    return ()
