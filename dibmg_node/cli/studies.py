"""`dibmg studies`, `study`, `explain`: what became of studies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import click
from rich.markup import escape
from rich.table import Column, Table

from dibmg_node.cli.existing_ledger import open_existing_ledger
from dibmg_node.cli.exits import no_such_study
from dibmg_node.cli.filters import with_filters
from dibmg_node.cli.options import print_json, with_config, with_json
from dibmg_node.cli.tables import Heading, console, fitting_table
from dibmg_node.config import Settings
from dibmg_node.storage.listing import StudyFilter, StudyLine

STATE_COLORS = {
    "RECEIVING": "cyan",
    "READY": "cyan",
    "ANALYZING": "yellow",
    "ANALYZED": "yellow",
    "DELIVERED": "green",
    "EXCLUDED": "magenta",
    "FAILED": "red",
    "CANCELED": "magenta",
}
_STUDY_HEADINGS: Final = (
    Heading("last image", goes=2),
    Heading("state"),
    Heading("exam", goes=1),
    Heading("R", goes=3),
    Heading("L", goes=3),
    Heading("sender", goes=4),
    Heading("manufacturer", folds_to=12, goes=5),
    Heading("study", folds_to=22),
    Heading("reason", folds_to=20),
)
_IMAGE_HEADINGS: Final = (
    Heading("image", folds_to=22),
    Heading("view"),
    Heading("used"),
    Heading("code", goes=1),
    Heading("why", folds_to=20),
)


@click.command(epilog="Example: dibmg studies --state DELIVERED --sender MG1 --since 7d --min-score 0.5")
@with_filters
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1, 100000), help="At most so many."
)
@with_config
@with_json
def studies(wanted: StudyFilter, limit: int, settings: Settings, as_json: bool) -> None:
    """List studies, that with the newest image first."""
    rows = open_existing_ledger(settings).listing.newest(wanted, limit)
    if as_json:
        print_json([_for_programs(row) for row in rows])
        return
    if not rows:
        console.print("no studies")
        return
    cells = [
        (
            moment(row.last_instance_at.isoformat()),
            state_text(row.state.value),
            score(row.exam),
            score(row.right),
            score(row.left),
            escape(row.sender),
            escape(row.manufacturer),
            row.study_uid,
            escape(row.reason),
        )
        for row in rows
    ]
    console.print(fitting_table(_STUDY_HEADINGS, cells, console.width))


def _for_programs(row: StudyLine) -> dict[str, Any]:
    return {
        "study_uid": row.study_uid,
        "state": row.state.value,
        "revision": row.revision,
        "reason": row.reason,
        "scores": {"exam": row.exam, "R": row.right, "L": row.left},
        "sender": row.sender,
        "manufacturer": row.manufacturer,
        "received_at": row.received_at.isoformat(),
        "last_instance_at": row.last_instance_at.isoformat(),
        "purged_at": row.purged_at.isoformat() if row.purged_at else None,
    }


@click.command(epilog="Example: dibmg study 1.2.840.113619.2.66")
@click.argument("study_uid")
@with_config
@with_json
def study(study_uid: str, settings: Settings, as_json: bool) -> None:
    """Show one study: scores, how long each step took, what was delivered where, timeline.

    With --json everything.
    """
    found = _find(settings, study_uid)
    told = open_existing_ledger(settings).follow_ups.history(study_uid)
    if as_json:
        print_json({**found, "outcomes": [one.as_json() for one in told]})
        return
    _print_head(found)
    for one in told:
        console.print(escape(one.sentence))
    _print_steps(found)
    results = {result["sop_uid"]: result for result in found["results"]}
    answer = Column("answer", overflow="fold")
    table = Table(
        "destination", "result", "state", "attempts", answer, title="deliveries", title_justify="left"
    )
    for delivery in found["deliveries"]:
        result = results.get(delivery["sop_uid"], {})
        kind = f"{result.get('kind', '')} {result.get('view', '')}".strip()
        words = [delivery["status"], delivery["comment"]]
        if delivery["next_at"]:
            words.append(f"(next try {moment(delivery['next_at'])})")
        told_by_peer = escape(" ".join(word for word in words if word))
        table.add_row(
            delivery["destination"], kind, delivery["state"], str(delivery["attempts"]), told_by_peer
        )
    console.print(table)
    detail = Column("detail", overflow="fold")
    timeline = Table("at", "after", "event", detail, title="timeline", title_justify="left")
    before: datetime | None = None
    for entry in found["timeline"]:
        at = datetime.fromisoformat(entry["at"])
        after = duration((at - before).total_seconds()) if before else ""
        timeline.add_row(moment(entry["at"]), after, entry["event"], escape(entry["detail"]))
        before = at
    console.print(timeline)


@click.command(epilog="Example: dibmg explain 1.2.840.113619.2.66")
@click.argument("study_uid")
@with_config
@with_json
def explain(study_uid: str, settings: Settings, as_json: bool) -> None:
    """Say why each image was taken or not, and why there is no result where there is none."""
    found = _find(settings, study_uid)
    if as_json:
        keys = ("study_uid", "state", "revision", "reason", "scores", "instances")
        reading = found["reading"] or {}
        read = {
            "operating_point": reading.get("operating_point"),
            "unlike_training": reading.get("unlike_training", []),
            "notes": reading.get("notes", {}),
        }
        print_json({key: found[key] for key in keys} | read)
        return
    _print_head(found)
    rows = []
    for instance in found["instances"]:
        view = "-".join(part for part in (instance["laterality"], instance["view"]) if part)
        used = {True: "[green]yes[/]", False: "[magenta]no[/]", None: "?"}[instance["used"]]
        rows.append((instance["sop_uid"], view, used, instance["code"], escape(instance["sentence"])))
    console.print(fitting_table(_IMAGE_HEADINGS, rows, console.width))
    for view, notes in (found["reading"] or {}).get("notes", {}).items():
        for note in notes:
            console.print(escape(f"{view}: {note}"))


def score(value: float | None) -> str:
    """A score for a table."""
    return "" if value is None else f"{value:.3f}"


def moment(iso: str) -> str:
    """A time of the ledger in this machine's time zone."""
    return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float | None) -> str:
    """A time for a table; empty where there is none."""
    if seconds is None:
        return ""
    if seconds < 120:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def state_text(state: str) -> str:
    """A state in its color."""
    return f"[{STATE_COLORS[state]}]{state}[/]"


def _find(settings: Settings, study_uid: str) -> Mapping[str, Any]:
    found = open_existing_ledger(settings).views.study(study_uid)
    if found is None:
        no_such_study(study_uid)
    return found


def _print_steps(found: Mapping[str, Any]) -> None:
    steps = Table("step", "took", "begin", "end", "outcome", title="steps", title_justify="left")
    for step in found["steps"]:
        end = moment(step["end"]) if step["end"] else "not yet"
        steps.add_row(
            escape(step["step"]), duration(step["seconds"]), moment(step["begin"]), end, step["outcome"]
        )
        if step["step"] == "analysis" and found["reading"]:
            for name, seconds in (found["reading"].get("seconds") or {}).items():
                steps.add_row(f"  {name}", duration(seconds), "", "", "")
    console.print(steps)


def _print_head(found: Mapping[str, Any]) -> None:
    scores = found["scores"]
    console.print(f"study     {found['study_uid']}")
    sender = escape(found["sender"])
    urgency = "" if found["priority"] == "routine" else f", {found['priority']}"
    console.print(
        f"state     {state_text(found['state'])}, revision {found['revision']}, from {sender}{urgency}"
    )
    if found["purged_at"]:
        at = moment(found["purged_at"])
        console.print(f"purged    {at}: its files are gone; it is read again when its images come again")
    if found["reason"]:
        console.print(f"reason    {escape(found['reason'])}")
    if scores["exam"] is not None:
        told = "   ".join(f"{name} {score(scores[name]) or '-'}" for name in ("exam", "R", "L"))
        console.print(f"scores    {told}")
    if "probability" in scores:
        chance = f"probability of cancer {100.0 * scores['probability']:.1f} %"
        fitted = found["reading"]["operating_point"]["calibration"]
        console.print(f"          {chance}, by calibration on {escape(fitted['population'])}")
    reading = found["reading"]
    if reading and reading.get("model"):
        model, point = reading["model"], reading["operating_point"]
        console.print(
            f"model     {model['name']} {model['version']} ({model['runtime']}, {model['precision']}), "
            + escape(f"operating point {point.get('label', point['name'])} at {point['threshold']:.3f}")
        )
        console.print(f"findings  {len(reading['findings'])}")
    console.print("research use only, not for diagnosis\n")
