"""`dibmg doctor`: what is wrong with machine and configuration, and what to do."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict
from typing import Final

import click
from rich.markup import escape
from rich.table import Table

from dibmg_node.cli.options import print_json, with_config, with_json
from dibmg_node.cli.tables import console
from dibmg_node.config import Settings
from dibmg_node.doctor.examination import examine
from dibmg_node.doctor.verdict import Level, worst

_EXIT_CODES: Final = {Level.OK: 0, Level.WARNING: 1, Level.ERROR: 2}
_COLORS: Final = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "red"}


@click.command(
    epilog="Example: dibmg doctor --config config.toml. Exit codes: 0 all is well, 1 warnings, 2 errors."
)
@with_config
@with_json
def doctor(settings: Settings, as_json: bool) -> None:
    """Examine machine, configuration and peers, with a remedy for whatever is wrong.

    With a running node and without one. Nothing is asked but what the configuration names.
    """
    verdicts = list(examine(settings))
    level = worst(verdicts)
    if as_json:
        print_json({"level": level.value, "checks": [asdict(one) for one in verdicts]})
    else:
        table = Table("", "check", "found", "expected, remedy")
        for one in verdicts:
            word = f"[{_COLORS[one.level]}]{one.level}[/]"
            told = f"{one.expected}; {one.remedy}" if one.remedy else ""
            table.add_row(word, escape(one.check), escape(one.found), escape(told))
        console.print(table)
        counted = Counter(one.level for one in verdicts)
        console.print(", ".join(f"{counted[one]} {one}" for one in Level))
    sys.exit(_EXIT_CODES[level])
