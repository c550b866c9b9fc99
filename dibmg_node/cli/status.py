"""`dibmg status`: is the node well?"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any, Final

import click
from rich.markup import escape
from rich.table import Table

from dibmg_node.cli.options import console, open_existing_ledger, print_json, with_config, with_json
from dibmg_node.config import Settings
from dibmg_node.errors import DibmgError
from dibmg_node.health import EXIT_CODES, look
from dibmg_node.role_choice import roles_of

_PLAIN: Final = "[yellow]insecure: plain text on the network[/]"


@click.command(
    epilog="Example: dibmg status --config config.toml. Exit codes: 0 healthy, 1 degraded, 2 down."
)
@with_config
@with_json
def status(settings: Settings, as_json: bool) -> None:
    """Show at a glance how the node is."""
    try:
        found = look(settings, open_existing_ledger(settings), roles_of(settings))
    except DibmgError as error:
        found = {"health": "down", "reasons": [str(error)]}
    if as_json:
        print_json(found)
    else:
        _print(found)
    sys.exit(EXIT_CODES[found["health"]])


def _protection(intake: dict[str, Any]) -> str:
    if not intake["tls"]:
        return _PLAIN if intake["insecure"] else "this machine alone, plain"
    return "TLS, clients with a certificate" if intake["client_certificates"] else "TLS, any client"


def _print(found: dict[str, Any]) -> None:
    color = {"healthy": "green", "degraded": "yellow", "down": "red"}[found["health"]]
    console.print(f"[bold {color}]{found['health']}[/]  research use only, not for diagnosis")
    for reason in found["reasons"]:
        console.print(f"  [{color}]{escape(reason)}[/]")
    if "processes" not in found:
        return
    processes = Table("process", "alive", "pid", "since", "detail")
    for row in found["processes"]:
        since = row["since"].astimezone().strftime("%Y-%m-%d %H:%M:%S") if row["since"] else ""
        word = "[green]yes[/]" if row["alive"] else "[red]no[/]"
        processes.add_row(row["process"], word, str(row["pid"] or ""), since, row["detail"])
    console.print(processes)
    for pause in found["pauses"]:
        by, why = pause["by"] or "an operator", pause["reason"] or "no reason given"
        told = f"{pause['part']} {pause['name']}".strip()
        since = f"{pause['since'].astimezone():%Y-%m-%d %H:%M:%S}"
        console.print(f"[yellow]paused[/]    {escape(f'{told}, since {since} by {by}: {why}')}")
    console.print("studies   " + "  ".join(f"{state} {n}" for state, n in found["studies"].items()))
    broker = found["broker"]
    waiting = f"{broker['analyses']} analyses, {broker['deliveries']} deliveries queued"
    console.print("broker    " + (waiting if broker["answers"] else "[red]does not answer[/]"))
    disk, model, intake = found["disk"], found["model"], found["intake"]
    if disk["free_bytes"] is not None:
        console.print(
            f"disk      {disk['free_bytes'] / 1e9:.1f} GB free, {disk['used_percent']} % used, "
            f"reserve {disk['reserve_bytes'] / 1e9:.1f} GB"
        )
    if found["archive"]["quarantined"] or found["archive"]["missing"]:
        archive = found["archive"]
        console.print(f"archive   {archive['quarantined']} in quarantine, {archive['missing']} missing")
    console.print(
        f"intake    {intake['ae_title']} at {intake['address']}:{intake['port']}, {_protection(intake)}"
    )
    for row in found["rejected"]:
        who = f"{row['calling_aet'] or 'unknown'} at {row['peer_address']}"
        told = f"{row['at'].astimezone():%Y-%m-%d %H:%M:%S}, {row['times']} times: {row['reason']}"
        console.print(escape(f"rejected  {who}, {told}"))
    if found["web"]:
        web = found["web"]
        taken = "STOW-RS, QIDO-RS, WADO-RS" if web["stow"] else "QIDO-RS, WADO-RS"
        asked = "with a bearer token" if web["token"] else "without a token"
        plain = f", {_PLAIN}" if web["insecure"] else ""
        console.print(f"web       {web['url']}: {taken}, {asked}{plain}")
    trail = found["audit"]
    if trail["lines"] is not None:
        passed = trail["syslog"]
        told = f"; {passed['waiting']} of them not sent to {passed['to']} yet" if passed else ""
        console.print(escape(f"audit     {trail['lines']} lines{told}"))
    console.print(f"model     {model['name']} {model['version']}: {model['trained_on']}")
    point = model["operating_point"]
    console.print(
        escape(f"          operating point {point['name']}, version {point['version'] or 'unknown'}")
    )
    test = found["selftest"]
    if test["at"]:
        told = "passed" if test["passed"] else f"[red]broke at {test['broken_step']}[/]"
        console.print(
            f"self-test {told}, {test['at'].astimezone():%Y-%m-%d %H:%M:%S}, {test['seconds']:.1f} s"
        )
    for row in found["alarms"]:
        since = f"since {row['since'].astimezone():%Y-%m-%d %H:%M:%S}"
        console.print(escape(f"alarm     {row['key']} {row['subject']} {since}"))
    for row in found["alarm_channels"]:
        kind = f"{row['kind']} (insecure)" if row["insecure"] else row["kind"]
        last = f"{row['last_sent'].astimezone():%Y-%m-%d %H:%M:%S}" if row["last_sent"] else "never"
        console.print(escape(f"alarms to {row['name']}: {kind}, last told {last}, to tell {row['owed']}"))
    states = Counter(row["state"] for row in found["drift"]["devices"])
    devices = ", ".join(f"{number} with {state}" for state, number in sorted(states.items()))
    told = f"devices: {devices}" if devices else "no exam read by these weights yet"
    console.print(escape(f"drift     {told}; reference {found['drift']['reference']}"))
    for sender, at in found["senders"].items():
        console.print(f"sender    {escape(sender)}, last image {at.astimezone():%Y-%m-%d %H:%M:%S}")
    for row in found["destinations"]:
        kind = f"{row['kind']} (insecure)" if row["insecure"] else row["kind"]
        told = f"{kind}, owed {row['owed']}, stored within a day {row['stored']}, refused {row['refused']}"
        if row["proof"] != "none":
            told += f", proven by {row['proof']} {row['proven']}, not yet {row['unproven']}"
        console.print(f"to        {row['name']}: {told} {escape(row['comment'])}")
