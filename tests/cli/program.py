"""`dibmg`, as an administrator types it: as a process of its own, or within that of the test."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from sqlalchemy import event
from sqlalchemy.pool import Pool

from dibmg_node.cli.main import main


def dibmg(folder: Path, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    """One command in a folder, within this process: the program's imports take longer than most commands.

    Args:
        folder: Where it is typed.
        arguments: What is typed after `dibmg`.
        said: What it reads on standard input.
    """
    code: object = 0
    with chdir(folder), CliRunner().isolation(said) as (out, err, _), _warning(), _closing():
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code
        sys.stdout.flush()
        sys.stderr.flush()
        told = [stream.getvalue().decode().replace("\r\n", "\n") for stream in (out, err)]
    assert isinstance(code, int)
    return subprocess.CompletedProcess(["dibmg", *arguments], code, *told)


@contextmanager
def _warning() -> Iterator[None]:
    """What is logged as a warning is said on standard error, as where nothing is set up."""
    root, handler = logging.getLogger(), logging.lastResort
    assert handler is not None
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


@contextmanager
def _closing() -> Iterator[None]:
    """Connections to a ledger are closed at the end, as they are by the end of a process."""
    opened: list[Any] = []

    def note(connection: Any, _: object) -> None:
        opened.append(connection)

    event.listen(Pool, "connect", note)
    try:
        yield
    finally:
        event.remove(Pool, "connect", note)
        for connection in opened:
            connection.close()


def dibmg_process(folder: Path, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    """The same as a process of its own."""
    command = [sys.executable, "-m", "dibmg_node", *arguments]
    return subprocess.run(
        command, cwd=folder, input=said, capture_output=True, text=True, timeout=120, check=False
    )
