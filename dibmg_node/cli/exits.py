"""How a command ends."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

EXIT_FAILED = 1
EXIT_CONFIG = 2
EXIT_UNKNOWN = 3
"""The study that the command line names is not there."""


def fail(message: str, code: int) -> NoReturn:
    """End with a message on standard error."""
    click.echo(f"dibmg: {message}", err=True)
    sys.exit(code)
