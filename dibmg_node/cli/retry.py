"""`dibmg retry`: one study, or all that one fault has held up."""

from __future__ import annotations

from datetime import timedelta

import click

from dibmg_node.cli.control import operating_on, this_person
from dibmg_node.cli.filters import Span, back
from dibmg_node.cli.options import check_destination, print_json, with_config, with_json
from dibmg_node.config import Settings
from dibmg_node.domain.counted import counted
from dibmg_node.services.operating import Operating, Retried
from dibmg_node.storage.destination_views import EVER
from dibmg_node.storage.retries import Retry


@click.command(
    epilog="Example: dibmg retry 1.2.840.113619.2.66, dibmg retry --refused-by pacs, or dibmg retry --failed "
    "--since 2d"
)
@click.argument("study_uid", required=False)
@click.option(
    "--analysis", "what", flag_value="analysis", help="Read the study again, whatever is still owed."
)
@click.option(
    "--delivery", "what", flag_value="delivery", help="Send everything again, to every destination."
)
@click.option("--refused-by", "destination", metavar="NAME", help="All that this destination has refused.")
@click.option("--failed", is_flag=True, help="All studies whose analysis failed.")
@click.option("--since", type=Span(), metavar="SPAN", help="Of them those with an image within 30m, 2h, 7d.")
@with_config
@with_json
def retry(
    study_uid: str | None,
    what: str | None,
    destination: str | None,
    failed: bool,
    since: timedelta | None,
    settings: Settings,
    as_json: bool,
) -> None:
    """Try again what failed or was canceled: the analysis, or the deliveries that are lacking.

    A study that is DELIVERED, and lacks nothing, is read anew. Results that come out with the same bytes
    are not sent again; --delivery sends them all the same.

    Once the cause is mended that held up many studies, --refused-by or --failed has all of them tried again.
    """
    if [study_uid is not None, destination is not None, failed].count(True) != 1:
        raise click.UsageError("name one: the UID of a study, --refused-by NAME, or --failed")
    if study_uid is None and what is not None:
        raise click.UsageError("--analysis and --delivery are for one study: name its UID")
    if study_uid is not None and since is not None:
        raise click.UsageError("--since is for --refused-by and --failed")
    if study_uid is not None:
        wanted = Retry(what) if what else Retry.AUTOMATIC
        tried = operating_on(settings, study_uid).retry(this_person(), study_uid, wanted)
        if as_json:
            print_json({"study_uid": study_uid, "retried": tried.value})
        else:
            click.echo(f"{tried.value} of {study_uid} will be tried again")
        return
    _retry_many(operating_on(settings), settings, destination, since, as_json)


def _retry_many(
    operating: Operating,
    settings: Settings,
    destination: str | None,
    since: timedelta | None,
    as_json: bool,
) -> None:
    begin = EVER if since is None else back(since)
    if destination is None:
        found, kind, to = operating.retry_unread(this_person(), begin), Retry.ANALYSIS, ""
    else:
        found = operating.retry_refused(this_person(), destination, begin)
        kind, to = Retry.DELIVERY, f" to {destination}"
        if not found.studies and not found.left:
            check_destination(settings, destination)  # else what was renamed could not be tidied up
    if as_json:
        print_json({"retried": kind.value, "studies": list(found.studies), "left": dict(found.left)})
    else:
        _print(found, f"{kind.value} of {counted(len(found.studies), 'study', 'studies')}{to}")


def _print(found: Retried, told: str) -> None:
    click.echo(f"{told} will be tried again")
    for study_uid, reason in found.left.items():
        click.echo(f"not {study_uid}: {reason}")
