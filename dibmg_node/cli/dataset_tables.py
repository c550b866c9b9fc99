"""What `dibmg dataset` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dibmg.data.demographics import DemographicsTable, TableSection
from dibmg.data.importers.report import ImportReport
from dibmg.data.inclusion import Inclusion, Outcome
from dibmg.data.kinds import Label
from dibmg.data.label_join import Joined
from dibmg.data.manifest import ImageRow
from dibmg.data.scan import Scan
from dibmg.data.split_files import SplitRecord
from dibmg_node.cli.options import print_json
from dibmg_node.cli.tables import console

_MOST_NAMED = 5
"""Lines or files that a sentence names; `--json` has all."""


def print_scan(found: Scan, joined: Joined, out: Path | None, as_json: bool) -> None:
    """What `scan` found, wrote and left out."""
    if as_json:
        told: dict[str, object] = {
            "manifest": str(out) if joined.rows else None,
            **_counts(joined.rows),
            "label_lines_unused": joined.unused_lines,
            "label_lines_empty": joined.empty_lines,
            "images_without_label": [str(path) for path in joined.unlabeled],
            "images_without_patient": [str(path) for path in joined.no_patient],
            "passed_over": [
                {"path": str(one.path), "code": one.code, "reason": one.reason} for one in found.passed_over
            ],
        }
        print_json(told)
        return
    if joined.rows:
        click.echo(f"{out}: {_sentence(joined.rows)}")
    for count, what, examples in (
        (len(joined.unlabeled), "mammograms that no line of the labels names", joined.unlabeled),
        (len(joined.no_patient), "mammograms without a Patient ID", joined.no_patient),
        (len(joined.unused_lines), "lines of the labels that name no mammogram", joined.unused_lines),
        (len(joined.empty_lines), "lines of the labels without a label", joined.empty_lines),
    ):
        if count:
            click.echo(f"left out: {count} {what}: {_some(examples)}", err=True)
    copies = [f"{one.path} ({one.reason})" for one in found.passed_over if one.code == "DUPLICATE"]
    if copies:
        click.echo(f"passed over: {len(copies)} files: a second copy: {_some(copies)}", err=True)
    reasons = Counter(one.reason for one in found.passed_over if one.code != "DUPLICATE")
    for reason, number in reasons.most_common():
        click.echo(f"passed over: {number} files: {reason}", err=True)


def print_manifest(path: Path, rows: Sequence[ImageRow], as_json: bool) -> None:
    """What a manifest that was written holds."""
    if as_json:
        print_json({"manifest": str(path), **_counts(rows)})
    else:
        click.echo(f"{path}: {_sentence(rows)}")


def print_insertion(
    path: Path, rows: Sequence[ImageRow], changed: int, passed_over: Mapping[str, int], as_json: bool
) -> None:
    """What `insert` wrote, changed and left out."""
    if as_json:
        told = {"manifest": str(path), "changed": changed, "passed_over": dict(passed_over)}
        print_json({**told, **_counts(rows)})
        return
    click.echo(f"{path}: {_sentence(rows)}; {changed} images with an inserted lesion")
    for reason, count in passed_over.items():
        click.echo(f"{count} images: {reason}")


def print_import(report: ImportReport, out: Path, as_json: bool) -> None:
    """What `import` read and left out."""
    if as_json:
        print_json(
            {
                "manifest": str(out) if report.rows else None,
                "kind": report.kind,
                **_counts(report.rows),
                "skipped": dict(report.skipped),
                "notes": report.notes,
                "source": report.source,
                "license": report.license,
            }
        )
        return
    if report.rows:
        click.echo(f"{out}: {_sentence(report.rows)}")
    for reason, count in report.skipped.items():
        click.echo(f"left out: {count}: {reason}", err=True)
    for note in report.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(f"source: {report.source}\nlicense: {report.license}")


def print_split(record: SplitRecord, written: Sequence[Path], as_json: bool) -> None:
    """What `split` included, how it dealt it out, and tables 1 and 2."""
    if as_json:
        print_json({**record.as_json(), "files": [str(path) for path in written]})
        return
    print_flow(record.inclusion, console)
    parts = Table("", "exams", "cancer", "normal", "benign", "women", "images", title="Parts")
    for name, counts in record.parts().items():
        parts.add_row(f"fold {name}" if record.folds else name, *map(str, counts.values()))
    console.print(parts)
    for table in record.tables:
        if any(section.rows for section in table.sections):
            console.print(_demographics(table, record.folds))
    if any(
        section.sparse or any(row.sparse for row in section.rows)
        for t in record.tables
        for section in t.sections
    ):
        console.print("* an expected count is below 5: the chi-square test is approximate at best")
    for note in record.split.notes:
        console.print(f"note: {escape(note)}")
    if record.repeated:
        console.print(f"note: {len(record.repeated)} pictures are there more than once, each of one woman")
    if not record.pixels_compared:
        console.print("note: pixels were not compared: the same picture may be there under two patients")
    console.print(f"written to {escape(str(written[-1].parent))}: {', '.join(path.name for path in written)}")


def print_flow(inclusion: Inclusion, to: Console) -> None:
    """The flow of inclusion with its counts."""
    flow = Table(
        "rule", "", *(f"{label} left out" for label in Label), "not told", "exams left", title="Inclusion"
    )
    flow.add_row("all exams of the manifest", "", *[""] * len(Label), "", str(sum(inclusion.start.values())))
    for step in inclusion.steps:
        applied = step.outcome is Outcome.APPLIED
        flow.add_row(
            step.sentence,
            "" if applied else step.outcome.value,
            *(str(step.left_out.get(label, 0)) if applied else "" for label in Label),
            str(step.not_told) if step.not_told else "",
            str(sum(step.remaining.values())),
        )
    to.print(flow)


def _demographics(table: DemographicsTable, folds: bool) -> Table:
    headings = [
        f"{f'fold {part}' if folds else part} ({n})"
        for part, n in zip(table.parts, table.totals, strict=True)
    ]
    printed = Table("", *headings, "p", title=table.title)
    for section in table.sections:
        if not section.rows:
            continue
        printed.add_row(
            f"[bold]{section.name}[/bold]", *[""] * len(table.parts), _p(section.p, section.sparse)
        )
        for row in section.rows:
            printed.add_row(
                f"  {escape(row.group)}", *_shares(row.counts, table, section), _p(row.p, row.sparse)
            )
        if any(section.not_known):
            printed.add_row("  not known", *map(str, section.not_known), "")
    return printed


def _shares(counts: Sequence[int], table: DemographicsTable, section: TableSection) -> list[str]:
    """Counts with their percentage of what is known."""
    known = [total - missing for total, missing in zip(table.totals, section.not_known, strict=True)]
    return [
        f"{count} ({100 * count / of:.1f})" if of else "0" for count, of in zip(counts, known, strict=True)
    ]


def _p(p: float | None, sparse: bool) -> str:
    if p is None:
        return ""
    return ("<0.001" if p < 0.001 else f"{p:.3f}") + ("*" if sparse else "")


def _counts(rows: Sequence[ImageRow]) -> dict[str, object]:
    labels: Mapping[str, Label] = {row.exam: row.label for row in rows}
    return {
        "images": len(rows),
        "exams": len(labels),
        "women": len({row.patient for row in rows}),
        **{label.value: sum(one is label for one in labels.values()) for label in Label},
    }


def _sentence(rows: Sequence[ImageRow]) -> str:
    counts = _counts(rows)
    labels = ", ".join(f"{counts[label.value]} {label.value}" for label in Label)
    return f"{counts['images']} images, {counts['exams']} exams ({labels}), {counts['women']} women"


def _some(examples: Sequence[object]) -> str:
    named = ", ".join(map(str, examples[:_MOST_NAMED]))
    return named + (", …" if len(examples) > _MOST_NAMED else "")
