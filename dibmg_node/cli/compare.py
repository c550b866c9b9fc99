"""`dibmg compare`: what an upgrade to the shadow's weights would change."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
from jinja2 import Environment, PackageLoader, StrictUndefined
from rich.markup import escape
from rich.table import Table

from dibmg.weights import load_weights
from dibmg_node.cli.existing_ledger import open_existing_ledger
from dibmg_node.cli.exits import EXIT_FAILED, fail
from dibmg_node.cli.options import print_json, with_config, with_json
from dibmg_node.cli.tables import console, uid_column
from dibmg_node.config import Settings
from dibmg_node.errors import WeightsError
from dibmg_node.health.shadow_report import compare as compare_models

_SHOWN: Final = 20


@click.command(epilog="Example: dibmg compare --since 2026-03-01 --html compare.html")
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d"]), help="Exams that the shadow read from this day (UTC) on."
)
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the report there, too; one file, nothing beside it.",
)
@with_config
@with_json
def compare(since: datetime | None, html: Path | None, settings: Settings, as_json: bool) -> None:
    """Compare the shadow model with the first one on the exams that both have read.

    Agreement of recalls, scores, devices, exams that would change sides, run times; where outcomes are known
    (`dibmg outcomes import`) the areas under both ROC curves, with DeLong's test.
    """
    ledger = open_existing_ledger(settings)
    shadow = (
        load_weights(settings.shadow[0]).sha256
        if settings.shadow
        else ledger.shadow_readings.newest_weights()
    )
    if shadow is None:
        fail(
            'there is no shadow model: set [model.shadow] weights = "..." in the configuration, restart the '
            "node, and come again when it has read some exams",
            EXIT_FAILED,
        )
    begin = since.replace(tzinfo=UTC) if since else None
    exams = ledger.shadow_readings.read_twice(shadow, begin)
    counts = ledger.shadow_readings.counts(shadow, begin)
    if not exams:
        told = ", ".join(f"{one.value} {n}" for one, n in counts.items())
        fail(f"no exam was read by both models yet; of the shadow: {told}", EXIT_FAILED)
    found = compare_models(exams, counts, ledger.follow_ups.known([one.study_uid for one in exams]))
    found = {
        "since": since.date().isoformat() if since else None,
        "first": _named(settings.weights, found["first_sha256"]),
        "shadow": _named(settings.shadow[0] if settings.shadow else "", shadow),
        **found,
    }
    if html is not None:
        try:
            html.write_text(_page(found), encoding="utf-8")
        except OSError as error:
            fail(f"{html}: {error.strerror}", EXIT_FAILED)
    if as_json:
        print_json({name: value for name, value in found.items() if name not in ("points", "first_sha256")})
        return
    _print(found)
    if html is not None:
        click.echo(f"written to {html}")


def _named(configured: str, sha256: str) -> dict[str, str | None]:
    """What weights are called, where they are those of the configuration."""
    try:
        weights = load_weights(configured) if configured else None
    except WeightsError:
        weights = None
    if weights is None or weights.sha256 != sha256:
        return {"name": None, "version": None, "sha256": sha256, "told": f"weights {sha256[:12]}"}
    told = f"{weights.name} {weights.version}"
    return {"name": weights.name, "version": weights.version, "sha256": sha256, "told": told}


def _page(found: dict[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("dibmg_node.cli"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("compare.html.j2").render(r=found)


def _print(found: dict[str, Any]) -> None:
    decisions, scores, seconds = found["decisions"], found["scores"], found["seconds"]
    console.print(
        escape(f"shadow {found['shadow']['told']} beside {found['first']['told']}: {found['exams']} exams")
    )
    console.print(f"the shadow failed at {found['shadow_failed']} and excluded {found['shadow_excluded']}")
    table = Table(
        "device", "exams", "both recall", "first only", "shadow only", "neither", "agreement %", "kappa"
    )
    for name, one in [("all", found), *((_device(one), one) for one in found["devices"])]:
        each = one["decisions"]
        kappa = "" if each["kappa"] is None else f"{each['kappa']:.2f}"
        counts = [str(each[key]) for key in ("both", "first_only", "shadow_only", "neither")]
        table.add_row(escape(name), str(one["exams"]), *counts, _measured(each["agreement"]), kappa)
    console.print(table)
    recall = found["recall"]
    console.print(f"recall %: first {_measured(recall['first'])}, shadow {_measured(recall['shadow'])}")
    pearson, spearman = scores["pearson"], scores["spearman"]
    if pearson is not None:
        console.print(f"scores: correlation {pearson:.3f} (Pearson), {spearman:.3f} (Spearman)")
    difference = ", ".join(f"{at} %: {value:+.3f}" for at, value in scores["difference"].items())
    console.print(f"shadow minus first, quantiles: {difference}")
    console.print(
        f"seconds, median and 95 %: first {seconds['first']['50']:.2f}, {seconds['first']['95']:.2f}; "
        f"shadow {seconds['shadow']['50']:.2f}, {seconds['shadow']['95']:.2f}"
    )
    _print_outcomes(found["outcomes"])
    if found["changed"]:
        changed = Table(uid_column("would change sides"), "first", "shadow", "recalled by")
        for one in found["changed"][-_SHOWN:]:
            changed.add_row(
                one["study_uid"], f"{one['first']:.3f}", f"{one['shadow']:.3f}", one["recalled_by"]
            )
        console.print(changed)
        if found["changed_in_all"] > _SHOWN:
            console.print(f"the newest {_SHOWN} of {found['changed_in_all']}; --json and --html list more")
    else:
        console.print(f"no exam would change sides ({decisions['both'] + decisions['neither']} agree)")


def _print_outcomes(known: dict[str, Any]) -> None:
    console.print(f"outcomes: known of {known['exams']} exams, {known['cancers']} with cancer")
    if known["note"]:
        console.print(f"          {known['note']}")
    if "missing" in known:
        console.print(escape(f"          figures need {known['missing']}"))
    elif known["exams"]:
        one, test = known["auc_difference"], known["auc_difference"]["test"]
        if one["value"] is None:
            console.print(escape(f"          no difference of the areas: {one['reason']}"))
            return
        interval = f" ({one['low']:+.3f} to {one['high']:+.3f})" if one["low"] is not None else ""
        p = test["reason"] if test["p"] is None else _probability(test["p"])
        console.print(
            escape(f"          AUC, shadow minus first: {one['value']:+.3f}{interval}, {test['test']}, {p}")
        )


def _probability(p: float) -> str:
    return "p below 0.001" if p < 0.001 else f"p {p:.3f}"


def _device(one: dict[str, Any]) -> str:
    return " ".join(filter(None, (one["manufacturer"], one["model"], one["software"]))) or "unnamed"


def _measured(one: dict[str, float]) -> str:
    return f"{100 * one['value']:.1f} ({100 * one['low']:.1f}-{100 * one['high']:.1f})"
