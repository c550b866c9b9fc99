"""`dibmg drift`: do scores still look like those that the threshold was chosen for?"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from dibmg.operating_choice import choose_operating_point
from dibmg.weights import load_weights
from dibmg_node.cli.control import operating_on, this_person
from dibmg_node.cli.existing_ledger import open_existing_ledger
from dibmg_node.cli.exits import EXIT_FAILED, fail
from dibmg_node.cli.options import print_json, with_config, with_json
from dibmg_node.cli.tables import console
from dibmg_node.config import Settings
from dibmg_node.wiring import foundation
from dibmg_node.wiring.drift_watch import look_at_drift, open_drift_watch

_COLORS = {"no drift": "green", "drift": "red"}


@click.group(
    invoke_without_command=True,
    epilog="Example: dibmg drift --config config.toml. Exit codes: 0 no device drifts, 1 one does.",
)
@with_config
@with_json
@click.pass_context
def drift(context: click.Context, settings: Settings, as_json: bool) -> None:
    """Show whether the scores of every device are still those of its reference."""
    if context.invoked_subcommand is not None:
        return
    weights = load_weights(settings.weights)
    choice = choose_operating_point(weights, settings.operating_point)
    report = look_at_drift(settings, open_existing_ledger(settings), weights, choice, foundation.now())
    if as_json:
        print_json(report.as_json())
    else:
        _print(report.as_json())
    sys.exit(EXIT_FAILED if report.warnings else 0)


@drift.command("baseline", epilog="Example: dibmg drift baseline --exams 500 --since 2026-03-01")
@click.option(
    "--exams",
    default=500,
    show_default=True,
    type=click.IntRange(50, 100_000),
    help="Of each device, at most.",
)
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The first exams from this day (UTC) on, instead of the first of all.",
)
@with_config
@with_json
def drift_baseline(exams: int, since: datetime | None, settings: Settings, as_json: bool) -> None:
    """Fix a reference from this node's own first exams: from now on scores are held against them.

    Do so once the node has been commissioned, and again after a change that was meant: new software on a
    mammography unit, other weights. Earlier baselines are kept. The audit trail tells who fixed which one.
    """
    weights, operating = load_weights(settings.weights), operating_on(settings)
    watch = open_drift_watch(settings, operating.ledger, weights)
    begin = since.replace(tzinfo=UTC) if since else None
    baseline = operating.fix_baseline(this_person(), watch, exams, begin)
    if baseline is None:
        fewest = settings.drift.minimum_exams
        fail(f"fewer than {fewest} exams (drift.minimum_exams) were read by these weights", EXIT_FAILED)
    if as_json:
        devices = [{**vars(one.device), "exams": one.exams} for one in baseline.references]
        told = {"version": baseline.version, "weights_sha256": weights.sha256, "references": devices}
        print_json(told)
        return
    click.echo(f"baseline {baseline.version}, for weights {weights.name} {weights.version}:")
    for one in baseline.references:
        click.echo(f"  {one.exams} exams of {str(one.device) or 'all devices'}")


def _print(report: dict[str, Any]) -> None:
    console.print(escape(f"reference {report['reference']}"))
    if not report["devices"]:
        console.print("no exam was read by these weights yet")
        return
    table = Table("device", "state", "exams", "PSI", "KS (p)", "recall %", "before %")
    for one in report["devices"]:
        ks, state = one["ks"], one["state"]
        name = " ".join(filter(None, (one["manufacturer"], one["model"], one["software"])))
        table.add_row(
            escape(name or "unnamed"),
            f"[{_COLORS[state]}]{state}[/]" if state in _COLORS else state,
            str(one["exams"]),
            _figures(one["psi"]),
            f"{ks['distance']:.3f} ({_probability(ks['p'])})" if ks else "",
            _figures(one["recall"], 100),
            _figures(one["reference"] and one["reference"]["recall"], 100),
        )
    console.print(table)


def _probability(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _figures(one: dict[str, float] | None, factor: float = 1.0) -> str:
    if one is None:
        return ""
    digits = 1 if factor == 100 else 2
    value, low, high = (f"{factor * one[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} ({low}-{high})"
