"""`dibmg cancel`, `priority`, `pause`, `resume`: control of a running node."""

from __future__ import annotations

import getpass
import os

import click

from dibmg_node.cli.existing_ledger import open_existing_ledger
from dibmg_node.cli.exits import no_such_study
from dibmg_node.cli.options import check_destination, print_json, with_config, with_json
from dibmg_node.config import Settings
from dibmg_node.domain.counted import counted
from dibmg_node.domain.lifecycle import StudyState
from dibmg_node.domain.pause import Part
from dibmg_node.domain.priority import Priority
from dibmg_node.services.operating import Operating, Person
from dibmg_node.wiring import foundation
from dibmg_node.wiring.auditing import open_audit

_with_reason = click.option(
    "--reason", default="", help="Why, in words; kept in the ledger. No names of patients."
)
_part = click.argument("part", type=click.Choice([part.value for part in Part]))
_name = click.argument("name", default="")


@click.command(epilog='Example: dibmg cancel 1.2.840.113619.2.66 --reason "sent by mistake"')
@click.argument("study_uid")
@_with_reason
@with_config
@with_json
def cancel(study_uid: str, reason: str, settings: Settings, as_json: bool) -> None:
    """Give up a study that waits or is being analyzed, and what destinations lack of it.

    `dibmg retry` brings it back; so does a further image of it.
    """
    operating = operating_on(settings, study_uid)
    given_up = operating.cancel(this_person(), study_uid, reason)
    study = operating.ledger.views.study(study_uid)
    state = study["state"] if study else StudyState.CANCELED
    canceled = state == StudyState.CANCELED
    if as_json:
        print_json({"study_uid": study_uid, "canceled": canceled, "deliveries": given_up})
    else:
        deliveries = f"{counted(given_up, 'delivery of it is', 'deliveries of it are')} given up"
        # one that was excluded, or failed, has its answer, and nothing more to cancel
        told = f"canceled, and {deliveries}" if canceled else f"still {state}; {deliveries}"
        click.echo(f"{study_uid} is {told}; dibmg retry brings it back")


@click.command(epilog="Example: dibmg priority 1.2.840.113619.2.66 stat")
@click.argument("study_uid")
@click.argument("priority", type=click.Choice([one.value for one in Priority]))
@with_config
@with_json
def priority(study_uid: str, priority: str, settings: Settings, as_json: bool) -> None:
    """Say how urgent a study is: stat before routine before low, whatever sender and images say."""
    before = operating_on(settings, study_uid).prioritize(this_person(), study_uid, Priority(priority))
    if as_json:
        print_json({"study_uid": study_uid, "priority": priority, "before": before.value})
    else:
        click.echo(f"{study_uid} is {priority} now, {before.value} before")


@click.command(epilog='Example: dibmg pause destination pacs --reason "PACS is being upgraded"')
@_part
@_name
@_with_reason
@with_config
@with_json
def pause(part: str, name: str, reason: str, settings: Settings, as_json: bool) -> None:
    """Pause intake, analysis or one destination (its NAME) until it is resumed, on every machine.

    What runs ends; nothing is lost. Paused intake answers senders to come again later: not all of them
    do by themselves. dibmg status counts whom it turned away; dibmg fetch gets what never came.
    """
    _check(part, name)
    if name:
        check_destination(settings, name)
    begun = operating_on(settings).pause(this_person(), Part(part), name, reason)
    if as_json:
        print_json(vars(begun))
    else:
        click.echo(begun.sentence)


@click.command(epilog="Example: dibmg resume analysis")
@_part
@_name
@with_config
@with_json
def resume(part: str, name: str, settings: Settings, as_json: bool) -> None:
    """Resume what was paused; what waited for it goes on at once."""
    _check(part, name)
    ended = operating_on(settings).resume(this_person(), Part(part), name)
    if as_json:
        print_json(vars(ended))
    else:
        click.echo(
            f"{ended.called} is resumed; it was paused since {ended.since.isoformat(timespec='seconds')}"
        )


def operating_on(settings: Settings, study_uid: str | None = None) -> Operating:
    """What carries out a person's decisions; ends the program where the ledger lacks the study."""
    ledger = open_existing_ledger(settings)
    if study_uid is not None and ledger.views.study(study_uid) is None:
        no_such_study(study_uid)
    audit = open_audit(settings, "operator", foundation.now)
    return Operating(ledger, audit, foundation.now, foundation.wanted(settings))


def this_person() -> Person:
    """Who runs the command."""
    try:
        return Person(getpass.getuser())
    except (KeyError, OSError):  # a container's user without a name
        return Person(f"uid {os.getuid()}")


def _check(part: str, name: str) -> None:
    if (part == Part.DESTINATION.value) != bool(name):
        raise click.UsageError("a destination has a name, and nothing else has: dibmg pause destination NAME")
