"""`dibmg`: the program."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version

import click

from dibmg_node import wiring
from dibmg_node.cli.alarms import alarms
from dibmg_node.cli.analyze import analyze
from dibmg_node.cli.audit import audit
from dibmg_node.cli.compare import compare
from dibmg_node.cli.completion import completion
from dibmg_node.cli.conformance import conformance
from dibmg_node.cli.control import cancel, pause, priority, resume
from dibmg_node.cli.dataset import dataset
from dibmg_node.cli.doctor import doctor
from dibmg_node.cli.drift import drift
from dibmg_node.cli.evaluate import evaluate
from dibmg_node.cli.export import export
from dibmg_node.cli.fetch import fetch
from dibmg_node.cli.options import (
    EXIT_CONFIG,
    EXIT_FAILED,
    fail,
    print_json,
    with_config,
    with_json,
)
from dibmg_node.cli.outcomes import outcomes
from dibmg_node.cli.peers import echo
from dibmg_node.cli.purge import purge
from dibmg_node.cli.replay import replay
from dibmg_node.cli.selftest import selftest
from dibmg_node.cli.sr import sr
from dibmg_node.cli.status import status
from dibmg_node.cli.studies import explain, retry, studies, study
from dibmg_node.cli.train import train
from dibmg_node.cli.user import user
from dibmg_node.cli.weights import weights
from dibmg_node.config import Settings
from dibmg_node.errors import ConfigError, DibmgError, WeightsError
from dibmg_node.logs import start_logging
from dibmg_node.node import Node
from dibmg_node.role_choice import Role
from dibmg_node.roles import play


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed, 2 the configuration or the command line is wrong, 3 no such study. "
    "`dibmg status`: 0 healthy, 1 degraded, 2 down, 3 the ledger does not answer. For research use only.",
)
@click.version_option(version("dibmg-node"), prog_name="dibmg")
def cli() -> None:
    """A mammography CAD node: mammograms in by DICOM, DIB-MG's findings back to the PACS."""


@cli.command(epilog="Example: dibmg up --config config.toml. On a worker: dibmg up --roles analysis")
@with_config
@click.option("--roles", help="Instead of node.roles: intake, sweep, analysis, delivery, web; comma between.")
def up(settings: Settings, roles: str | None) -> None:
    """Run the whole node in the foreground, or those roles of it that this machine has.

    Prints `ready` on standard error when it accepts associations. Ctrl-C or SIGTERM drains: what is in
    hand is finished, what is not stays in the ledger. A second Ctrl-C ends it at once.
    """
    if roles is not None:
        settings = settings.with_roles(roles.replace(",", " ").split())
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        start_logging("node", wiring.log_folder(settings), settings.node.log_level)
        Node(settings, lambda line: click.echo(line, err=True)).run()
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", EXIT_CONFIG)


@cli.command(hidden=True)
@click.argument("role", type=click.Choice([role.value for role in Role]))
@with_config
def run(role: str, settings: Settings) -> None:
    """Run one process of the node; `dibmg up` starts them all."""
    start_logging(role, wiring.log_folder(settings), settings.node.log_level)
    play(Role(role), settings)


@cli.group()
def config() -> None:
    """The configuration file."""


@config.command("check", epilog="Example: dibmg config check --config config.toml")
@with_config
@with_json
def config_check(settings: Settings, as_json: bool) -> None:
    """Check the file, and that weights, runtime, secrets and certificates are here.

    Exit code 2 with every complaint.
    """
    wiring.check_node(settings)
    file = str(settings.path) if settings.path else None
    if as_json:
        print_json({"valid": True, "file": file})
    else:
        click.echo(f"{file or 'no file, every value is the default'}: valid")


@config.command("show", epilog="Example: dibmg config show --json")
@with_config
@with_json
def config_show(settings: Settings, as_json: bool) -> None:
    """Show every value in force, defaults included."""
    values = settings.model_dump(mode="json")
    if as_json:
        print_json(values)
        return
    for section, content in values.items():
        for place, part in enumerate(content if isinstance(content, list) else [content or {}]):
            name = f"{section}[{place}]" if isinstance(content, list) else section
            for key, value in part.items():
                click.echo(f"{name}.{key} = {value}")


for _command in (
    status,
    studies,
    study,
    explain,
    retry,
    cancel,
    priority,
    pause,
    resume,
    replay,
    export,
    user,
    alarms,
    echo,
    selftest,
    doctor,
    fetch,
    purge,
    analyze,
    audit,
    dataset,
    drift,
    outcomes,
    compare,
    evaluate,
    weights,
    train,
    sr,
    conformance,
    completion,
):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: errors that the program reports on purpose end in one line and an exit code.

    Args:
        arguments: What was typed after `dibmg`; None: those that this process was started with.
    """
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
