"""How a command ends."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

EXIT_FAILED = 1
EXIT_CONFIG = 2
EXIT_UNKNOWN = 3
"""The study that the command line names is not there."""


def no_such_study(study_uid: str) -> NoReturn:
    """End because the ledger lacks what was asked for, or that was no UID at all."""
    told = f"no study {study_uid} in the ledger; dibmg studies lists those that it has, by their UIDs"
    fail(told, EXIT_UNKNOWN)


def fail(message: str, code: int) -> NoReturn:
    """End with a message on standard error."""
    click.echo(f"dibmg: {message}", err=True)
    sys.exit(code)
