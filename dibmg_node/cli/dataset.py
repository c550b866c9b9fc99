"""`dibmg dataset`: manifests from folders and published data sets, and their splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import click

from dibmg.data.importers.registry import KINDS
from dibmg.data.scan import WAIVABLE
from dibmg_node.cli.dataset_split import split
from dibmg_node.cli.dataset_tables import (
    print_import,
    print_insertion,
    print_manifest,
    print_scan,
)
from dibmg_node.cli.exits import EXIT_FAILED, fail
from dibmg_node.cli.options import print_json, with_json
from dibmg_node.cli.progress import show_progress
from dibmg_node.domain.study import ExclusionCode

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_TABLE = click.Path(dir_okay=False, path_type=Path)
_with_folder = click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Where to write."
)


def _with_share(name: str, told: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(name, type=click.FloatRange(0, 1), default=0.5, show_default=True, help=told)


_with_visibility = click.option(
    "--visibility",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Of lesions; less is harder.",
)


@click.group()
def dataset() -> None:
    """Data sets of mammograms: manifests and splits."""


@dataset.command(
    epilog="Example: dibmg dataset scan dicom/ --template labels.csv, fill in its column label, then: "
    "dibmg dataset scan dicom/ --labels labels.csv --out manifest.csv. "
    "A row of the labels names an exam (column exam or accession), a patient or a file (path), and with "
    "laterality one breast of it. Exit code 1 if no image was labeled."
)
@click.argument("folder", type=_FOLDER)
@click.option("--labels", type=_FILE, help="Table of labels, CSV or Parquet.")
@click.option("--out", type=_TABLE, help="Manifest to write.")
@click.option(
    "--template",
    type=_TABLE,
    help="Write a table of labels to fill in, instead of a manifest.",
)
@click.option(
    "--accept",
    multiple=True,
    type=click.Choice([code.value for code in WAIVABLE]),
    help="Take images in spite of this reason, where an archive's headers are wrong. Repeatable.",
)
@with_json
def scan(
    folder: Path,
    labels: Path | None,
    out: Path | None,
    template: Path | None,
    accept: Sequence[str],
    as_json: bool,
) -> None:
    """Make a manifest of the DICOM mammograms in a folder and a table of labels."""
    from dibmg.data.label_join import join_labels
    from dibmg.data.label_template import write_template
    from dibmg.data.labels import read_labels, stated_views
    from dibmg.data.manifest import write_manifest
    from dibmg.data.scan import scan_folder

    if (labels is None) == (template is None) or (labels is None) != (out is None):
        raise click.UsageError("give --labels with --out, or --template")
    if template is not None and template.exists():
        fail(f"{template} is there already, and may be filled in: name another file", EXIT_FAILED)
    table = None if labels is None else read_labels(labels, folder)
    waived = frozenset(map(ExclusionCode, accept))
    stated = {} if table is None else stated_views(table)
    with show_progress("reading headers", as_json) as progress:
        found = scan_folder(folder, waived, stated, progress)
    if not found.images:
        _fail_empty(folder, Counter(one.reason for one in found.passed_over))
    if template is not None:
        breasts = write_template(found.images, template)
        if as_json:
            print_json({"template": str(template), "breasts": breasts, "images": len(found.images)})
        else:
            click.echo(
                f"{template}: {breasts} breasts on {len(found.images)} images; fill in its column label"
            )
        return
    assert table is not None
    assert out is not None
    joined = join_labels(found.images, table)
    if joined.rows:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_manifest(joined.rows, out)
    print_scan(found, joined, out, as_json)
    if not joined.rows:
        fail(f"no image of {len(found.images)} was labeled: nothing written", EXIT_FAILED)


@dataset.command(
    "import",
    epilog="Example: dibmg dataset import cbis-ddsm CBIS-DDSM/ --out manifest.csv. "
    f"Layouts: {', '.join(KINDS)}.",
)
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.argument("folder", type=_FOLDER)
@click.option("--out", required=True, type=_TABLE, help="Manifest to write, CSV or Parquet.")
@with_json
def import_(kind: str, folder: Path, out: Path, as_json: bool) -> None:
    """Make a manifest of a published data set as its publisher lays it out."""
    from dibmg.data.importers.registry import import_layout
    from dibmg.data.manifest import write_manifest

    report = import_layout(kind, folder)
    if report.rows:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_manifest(report.rows, out)
    print_import(report, out, as_json)
    if not report.rows:
        fail(f"no image of {folder} is both in its tables and on the disk: nothing written", EXIT_FAILED)


@dataset.command(
    epilog="Example: dibmg dataset synthesize --exams 200 --seed 7 --out synthetic/ "
    "(writes images/ and manifest.csv; the same seed gives the same pixels)"
)
@click.option("--exams", required=True, type=click.IntRange(min=1), help="Exams of four views.")
@click.option("--seed", required=True, type=click.IntRange(min=0), help="The same seed, the same exams.")
@_with_folder
@click.option(
    "--first", type=click.IntRange(min=0), default=0, show_default=True, help="Index of the first exam."
)
@click.option(
    "--rows", type=click.IntRange(min=128), default=512, show_default=True, help="Longer side, pixels."
)
@_with_share("--cancer-share", "Of exams, with a cancer in one breast.")
@_with_visibility
@click.option("--dicom", is_flag=True, help="DICOM instances instead of 16-bit PNG.")
@with_json
def synthesize(
    exams: int,
    seed: int,
    out: Path,
    first: int,
    rows: int,
    cancer_share: float,
    visibility: float,
    dicom: bool,
    as_json: bool,
) -> None:
    """Make synthetic mammograms, with and without lesions, whose places are known."""
    from dibmg.data.manifest import read_manifest
    from dibmg.synthesis.series import synthesize_series

    with show_progress("synthesizing", as_json) as progress:
        manifest = synthesize_series(
            out,
            exams,
            seed,
            first=first,
            rows=rows,
            cancer_share=cancer_share,
            visibility=visibility,
            dicom=dicom,
            progress=lambda done: progress(done, exams),
        )
    print_manifest(manifest, read_manifest(manifest).rows, as_json)


@dataset.command(
    epilog="Example: dibmg dataset insert manifest.csv --seed 7 --out inserted/ "
    "(writes images/ and manifest.csv; exams with a finding are left out)"
)
@click.argument("manifest", type=_FILE)
@click.option("--seed", required=True, type=click.IntRange(min=0), help="The same seed, the same lesions.")
@_with_folder
@_with_share("--share", "Of normal exams, that get a lesion in one breast.")
@_with_visibility
@with_json
def insert(manifest: Path, seed: int, out: Path, share: float, visibility: float, as_json: bool) -> None:
    """Insert synthetic lesions, whose places are known, into the normal films of a manifest."""
    from dibmg.data.manifest import read_manifest
    from dibmg.synthesis.insertion_series import insert_series

    with show_progress("inserting", as_json) as progress:
        made = insert_series(
            read_manifest(manifest), out, seed, share=share, visibility=visibility, progress=progress
        )
    print_insertion(out / "manifest.csv", made.rows, made.changed, made.passed_over, as_json)


dataset.add_command(split)


def _fail_empty(folder: Path, reasons: Counter[str]) -> NoReturn:
    for reason, count in reasons.most_common():
        click.echo(f"{count} passed over: {reason}", err=True)
    fail(
        f"no DICOM mammogram below {folder}; of PNG, PGM or JPEG write the manifest yourself, "
        "or see 'dibmg dataset import --help'",
        EXIT_FAILED,
    )
