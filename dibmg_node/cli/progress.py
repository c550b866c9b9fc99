"""Progress bars of the commands that take their time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dibmg_node.cli.tables import console


def step_bars(*, transient: bool) -> Progress:
    """One bar a step, on stderr: what is done, of how much, and how long it will take.

    Args:
        transient: It goes when all is done.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=transient,
    )


@contextmanager
def show_busy(what: str) -> Iterator[None]:
    """What the program does that takes a while, on stderr: turning on a terminal, one line elsewhere."""
    terminal = Console(stderr=True, highlight=False)
    if terminal.is_terminal:
        with terminal.status(what):
            yield
    else:
        terminal.print(what, soft_wrap=True)
        yield


@contextmanager
def show_progress(what: str, as_json: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal, nothing elsewhere."""
    with Progress(console=console, transient=True, disable=as_json or not console.is_terminal) as bar:
        task = bar.add_task(what)
        yield lambda done, total: bar.update(task, completed=done, total=total)
