"""`dibmg purge`: room in the archive."""

from __future__ import annotations

from datetime import timedelta

import click
from rich.table import Table

from dibmg_node.cli.existing_ledger import open_existing_ledger
from dibmg_node.cli.options import NumberRange, print_json, with_config, with_json
from dibmg_node.cli.tables import console, uid_column
from dibmg_node.config import Settings
from dibmg_node.domain.counted import counted
from dibmg_node.sections.stores import LONGEST_DAYS
from dibmg_node.wiring import foundation
from dibmg_node.wiring.auditing import open_audit
from dibmg_node.wiring.purging import make_purge
from dibmg_node.wiring.registration import check_archive


@click.command(epilog="Example: dibmg purge --older-than-days 365 --yes")
@click.option("--yes", is_flag=True, help="Purge; without it, only what would be purged is shown.")
@click.option(
    "--older-than-days",
    type=NumberRange(0, LONGEST_DAYS),
    help="Studies whose last image is older, instead of archive.purge_after_days.",
)
@with_config
@with_json
def purge(yes: bool, older_than_days: float | None, settings: Settings, as_json: bool) -> None:
    """Remove images and results of studies that are read, answered and proven, the oldest first.

    By age, and while the disk is fuller than archive.high_water_percent; a running node does so by itself.
    What a destination is still owed, or has not proven where it is to, stays. The ledger keeps the study.
    """
    older_than = None if older_than_days is None else timedelta(days=older_than_days)
    ledger = open_existing_ledger(settings)
    audit = open_audit(settings, "purge", foundation.now)
    purging = make_purge(settings, ledger, audit, older_than)
    if yes:
        check_archive(settings, purging.archive, ledger.marks)
    studies = purging.run() if yes else purging.plan()
    freed = sum(one.study.size for one in studies)
    if as_json:
        rows = [
            {
                "study_uid": one.study.study_uid,
                "last_instance_at": one.study.last_instance_at.isoformat(),
                "bytes": one.study.size,
                "reason": one.reason,
            }
            for one in studies
        ]
        print_json({"purged": yes, "studies": rows, "bytes": freed})
        return
    if studies:
        table = Table(uid_column("study"), "last image", "MB", "why")
        for one in studies:
            at = one.study.last_instance_at.astimezone().strftime("%Y-%m-%d %H:%M")
            table.add_row(one.study.study_uid, at, f"{one.study.size / 1e6:.1f}", one.reason)
        console.print(table)
    done = "purged" if yes else "would be purged; --yes does it"
    console.print(f"{counted(len(studies), 'study', 'studies')}, {freed / 1e6:.1f} MB {done}")
