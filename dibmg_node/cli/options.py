"""Options that commands share."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from dibmg_node.cli.exits import EXIT_CONFIG, fail
from dibmg_node.config import InvalidSettingsError, Settings, load_settings
from dibmg_node.errors import ConfigError

Command = TypeVar("Command", bound=Callable[..., Any])


class NumberRange(click.FloatRange):
    """A number from one to another; `nan`, which is neither below nor above any, is not one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number of a text."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


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


def check_destination(settings: Settings, name: str) -> None:
    """End the program where the configuration has no destination of this name."""
    names = [one.name for one in settings.destination]
    if name not in names:
        known = ", ".join(names) or "none"
        fail(f"no destination {name!r} in the configuration, known are: {known}", EXIT_CONFIG)


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
    # it knows every part of the node: only a file with faults waits for it
    from dibmg_node.health.node_check import check_node

    try:
        check_node(error.rest)
    except ConfigError as others:
        return others.complaints
    return ()
