"""`dibmg dataset split`: the paper's rules of inclusion, and parts or folds by woman."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from dibmg.data.inclusion import RuleName, Views
from dibmg_node.cli.dataset_tables import print_flow, print_split
from dibmg_node.cli.options import NumberRange, with_json
from dibmg_node.cli.progress import show_progress
from dibmg_node.cli.tables import console

_RULES = [rule.value for rule in RuleName if rule not in (RuleName.VIEWS, RuleName.BENIGN)]
"""Rules with an option of their own are not among them."""


@click.command(
    epilog="Example: dibmg dataset split manifest.csv --seed 1 --out splits/ "
    "(writes train.csv, validation.csv, test.csv and split.json); "
    "or dibmg dataset split manifest.csv --views cc --keep-benign --folds 4 --out folds/"
)
@click.argument("manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Where to write."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The same seed, the same split."
)
@click.option(
    "--folds", type=click.IntRange(min=2), help="Folds for cross-validation, instead of three parts."
)
@click.option(
    "--views",
    type=click.Choice([views.value for views in Views]),
    default="four",
    show_default=True,
    help="Views that an exam must have; cc leaves out all others.",
)
@click.option("--keep-benign", is_flag=True, help="Keep exams that are benign.")
@click.option(
    "--years-followed", type=NumberRange(0, 100), default=2.0, show_default=True, help="Of normal exams."
)
@click.option(
    "--skip-rule", multiple=True, type=click.Choice(_RULES), help="Do not apply this rule. Repeatable."
)
@click.option("--no-pixels", is_flag=True, help="Do not look for the same picture under two patients.")
@with_json
def split(
    manifest: Path,
    out: Path,
    seed: int,
    folds: int | None,
    views: str,
    keep_benign: bool,
    years_followed: float,
    skip_rule: Sequence[str],
    no_pixels: bool,
    as_json: bool,
) -> None:
    """Split a data set by woman, after the paper's rules of inclusion, and show tables 1 and 2."""
    from dibmg.data.cases import group_cases
    from dibmg.data.inclusion import InclusionPolicy, include
    from dibmg.data.leakage import Duplicates, complain_of_duplicates, find_duplicates
    from dibmg.data.manifest import check_files, read_manifest
    from dibmg.data.split_files import SplitRecord
    from dibmg.data.splits import SplitError, fold_cases, split_cases

    switched_off = frozenset(map(RuleName, skip_rule)) | ({RuleName.BENIGN} if keep_benign else set())
    policy = InclusionPolicy(Views(views), years_followed, switched_off)
    read = read_manifest(manifest)
    inclusion = include(group_cases(read.rows), policy)
    rows = [row for case in inclusion.cases for row in case.rows]
    duplicates = Duplicates((), ())
    if not no_pixels:
        check_files(read)
        with show_progress("comparing pixels", as_json) as progress:
            duplicates = find_duplicates(rows, progress)
        complain_of_duplicates(read, duplicates)
    try:
        cases = inclusion.cases
        found = split_cases(cases, seed) if folds is None else fold_cases(cases, folds, seed)
    except SplitError:
        print_flow(inclusion, Console(stderr=True, highlight=False, width=console.width))
        raise
    record = SplitRecord.of(
        read,
        seed,
        policy,
        inclusion,
        found,
        folds=folds is not None,
        pixels_compared=not no_pixels,
        repeated=[[row.line for row in group] for group in duplicates.within],
    )
    print_split(record, record.write(out), as_json)
