"""`dibmg`: the program."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from dibmg_node.cli.commands import COMMANDS, Program
from dibmg_node.cli.exits import EXIT_CONFIG, EXIT_FAILED, EXIT_UNKNOWN, fail
from dibmg_node.errors import ConfigError, DibmgError, WeightsError


@click.group(
    cls=Program,
    commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed, 2 the configuration or the command line is wrong, 3 no such study. "
    "`dibmg status`: 0 healthy, 1 degraded, 2 down, 3 the ledger does not answer. For research use only.",
)
@click.version_option(package_name="dibmg-node", prog_name="dibmg")
def cli() -> None:
    """A mammography CAD node: mammograms in by DICOM, DIB-MG's findings back to the PACS."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: errors that the program reports on purpose end in one line and an exit code.

    Args:
        arguments: What was typed after `dibmg`; None: those that this process was started with.
    """
    # before anything imports numpy: the threads of its BLAS wait for work by spinning, which took a fifth of
    # the CPU time of drawing overlays, and no product here is large enough for two
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    typed = sys.argv[1:] if arguments is None else arguments
    if typed[:1] == ["up"]:
        # whoever has a starting node read its certificates anew must not end it: they are still to be read
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if sys.stdout is None:  # closed by whoever started this; what is printed is for nobody
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - until the end of the process
    try:
        cli(arguments, prog_name="dibmg")
    except ConfigError as error:
        for complaint in error.complaints:
            click.echo(complaint, err=True)
        sys.exit(EXIT_CONFIG)
    except WeightsError as error:
        fail(f"model.weights: {error}", EXIT_CONFIG)
    except DibmgError as error:
        fail(str(error), EXIT_FAILED)
    except OSError as error:  # as where the output goes to a disk that is full
        where = f"{error.filename}: " if error.filename else ""
        # a monitor must not take it for an answer of status
        fail(f"{where}{error.strerror or error}", EXIT_UNKNOWN if typed[:1] == ["status"] else EXIT_FAILED)
