"""The node at a glance, for people: a summary in one line, and all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from dibmg_node.domain.counted import counted

_PLAIN: Final = "[yellow]insecure: plain text on the network[/]"
_COLORS: Final = {"healthy": "green", "degraded": "yellow", "down": "red", "unknown": "magenta"}

Facts = Mapping[str, Any]
Line = tuple[str, str]
"""What it is about, and what there is to say; with rich's markup."""


def summary(found: Facts) -> str:
    """How the node is, in one line."""
    if found["reasons"]:
        told = "; ".join(" ".join(reason.split()) for reason in found["reasons"])
        return f"{found['health']} - {told}"
    waiting = sum(found["studies"][state] for state in ("READY", "ANALYZING"))
    owed = sum(one["owed"] for one in found["destinations"])
    free = found["disk"]["free_bytes"] / 1e9
    told = f"{counted(waiting, 'study waits', 'studies wait')}, {counted(owed, 'result')} owed"
    processes = counted(len(found["processes"]), "process", "processes")
    return f"{found['health']} - {processes}, {told}, {free:.1f} GB free"


def status_page(found: Facts, now: datetime) -> RenderableType:
    """All of it: what is wrong, the processes, and a line for each other thing.

    Args:
        found: As `health.look` gives it; without anything but a reason where the ledger does not answer.
        now: The time.
    """
    color = _COLORS[found["health"]]
    head = _lines(
        [("node", f"[bold {color}]{found['health']}[/]; research use only, not for diagnosis")]
        + [("", f"[{color}]{escape(reason)}[/]") for reason in found["reasons"]]
    )
    if "processes" not in found:
        return head
    parts = (_queue, _storage, _doors, _model, _drift, _alarms, _peers)
    return Group(head, _processes(found), _lines([line for part in parts for line in part(found, now)]))


def ago(then: datetime | None, now: datetime) -> str:
    """A moment with the time that has passed since."""
    return "never" if then is None else f"{_moment(then)} ({_span(now - then)} ago)"


def _lines(lines: list[Line]) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(min_width=9, no_wrap=True)
    grid.add_column(overflow="fold")
    for about, told in lines:
        grid.add_row(about, told)
    return grid


def _processes(found: Facts) -> Table:
    table = Table("process", "alive", "pid", "since", "detail")
    for row in found["processes"]:
        since = _moment(row["since"]) if row["since"] else ""
        word = "[green]yes[/]" if row["alive"] else "[red]no[/]"
        table.add_row(row["process"], word, str(row["pid"] or ""), since, escape(row["detail"]))
    return table


def _queue(found: Facts, now: datetime) -> Iterator[Line]:
    for pause in found["pauses"]:
        by, why = pause["by"] or "an operator", pause["reason"] or "no reason given"
        told = f"{pause['part']} {pause['name']}".strip()
        yield "[yellow]paused[/]", escape(f"{told}, since {_moment(pause['since'])} by {by}: {why}")
    yield "studies", "  ".join(f"{state} {n}" for state, n in found["studies"].items())
    oldest = found["oldest_waiting"]
    yield "waiting", f"the oldest since {ago(oldest, now)}" if oldest else "no study waits for its analysis"
    failed = found["failed_last_day"]
    told = f"[red]{failed} within a day[/]; dibmg studies --state FAILED --since 24h" if failed else "none"
    yield "failed", told if failed else "none within a day"


def _storage(found: Facts, now: datetime) -> Iterator[Line]:
    broker, ledger, disk = found["broker"], found["ledger"], found["disk"]
    if broker["answers"]:
        analyses = counted(broker["analyses"], "analysis", "analyses")
        deliveries = counted(broker["deliveries"], "delivery", "deliveries")
        yield "broker", f"answers, {analyses}, {deliveries} queued"
    else:
        yield "broker", "[red]does not answer[/]"
    yield (
        "ledger",
        f"answers, {ledger['kind']}, schema {ledger['schema']}, {ledger['bytes'] / 1e6:.1f} MB",
    )
    if disk["free_bytes"] is not None:
        room = f"{disk['free_bytes'] / 1e9:.1f} GB free, {disk['used_percent']} % used"
        yield "disk", f"{room}, reserve {disk['reserve_bytes'] / 1e9:.1f} GB"
        if disk["forecast"]:
            yield "", disk["forecast"]["told"]
    archive = found["archive"]
    if archive["quarantined"] or archive["missing"]:
        yield "archive", f"{archive['quarantined']} in quarantine, {archive['missing']} missing"
    trail = found["audit"]
    if trail["lines"] is not None:
        passed = trail["syslog"]
        told = f"; {passed['waiting']} of them not sent to {passed['to']} yet" if passed else ""
        yield "audit", escape(f"{counted(trail['lines'], 'line')}{told}")


def _doors(found: Facts, now: datetime) -> Iterator[Line]:
    intake, web = found["intake"], found["web"]
    yield "intake", f"{intake['ae_title']} at {intake['address']}:{intake['port']}, {_protection(intake)}"
    for row in found["rejected"]:
        who = f"{row['calling_aet'] or 'unknown'} at {row['peer_address']}"
        yield (
            "rejected",
            escape(f"{who}, {_moment(row['at'])}, {counted(row['times'], 'time')}: {row['reason']}"),
        )
    if web:
        taken = "STOW-RS, QIDO-RS, WADO-RS" if web["stow"] else "QIDO-RS, WADO-RS"
        asked = "with a bearer token" if web["token"] else "without a token"
        plain = f", {_PLAIN}" if web["insecure"] else ""
        pages = web["url"].removesuffix("/dicom-web")
        yield "web", f"{pages}/: dashboard; {web['url']}: {taken}, {asked}{plain}"
    for one in found["certificates"]:
        at = one["expires_at"]
        yield "expires", f"{one['key']}: " + (f"{at:%Y-%m-%d}, {_until(at, now)}" if at else "cannot be read")


def _until(at: datetime, now: datetime) -> str:
    return f"in {counted((at - now).days, 'day')}" if at > now else "[red]expired[/]"


def _protection(intake: Facts) -> str:
    if not intake["tls"]:
        return _PLAIN if intake["insecure"] else "this machine alone, plain"
    return "TLS, clients with a certificate" if intake["client_certificates"] else "TLS, any client"


def _model(found: Facts, now: datetime) -> Iterator[Line]:
    model = found["model"]
    point = model["operating_point"]
    yield "model", escape(f"{model['name']} {model['version']}: {model['trained_on']}")
    yield "", escape(f"operating point {point['name']}, version {point['version'] or 'unknown'}")
    shadow = found["shadow"]
    if shadow:
        since = f", the oldest since {ago(shadow['oldest'], now)}" if shadow["oldest"] else ""
        told = f"{shadow['name']} {shadow['version']}: {counted(shadow['waiting'], 'exam')} behind{since}"
        yield (
            "shadow",
            escape(
                f"{told}; within a day {shadow['read_last_day']} read, {shadow['failed_last_day']} failed"
            ),
        )
        if shadow["last_failure"]:
            yield "", escape(f"last failure: {shadow['last_failure']}")
    test = found["selftest"]
    if test["at"]:
        told = "passed" if test["passed"] else f"[red]broke at {test['broken_step']}[/]"
        yield "self-test", f"{told}, {ago(test['at'], now)}, {test['seconds']:.1f} s"
    if test["held_up_by"]:
        names = ", ".join(test["held_up_by"])
        yield "self-test", escape(f"none is started by itself while {names} analyzes or delivers beside")


def _alarms(found: Facts, now: datetime) -> Iterator[Line]:
    for row in found["alarms"]:
        yield "alarm", escape(f"{row['key']} {row['subject']} since {ago(row['since'], now)}")
    for row in found["alarm_channels"]:
        kind = f"{row['kind']} (insecure)" if row["insecure"] else row["kind"]
        told = f"{row['name']}: {kind}, last told {ago(row['last_sent'], now)}, to tell {row['owed']}"
        yield "alarms to", escape(told)


def _drift(found: Facts, now: datetime) -> Iterator[Line]:
    states = Counter(row["state"] for row in found["drift"]["devices"])
    devices = ", ".join(f"{number} with {state}" for state, number in sorted(states.items()))
    told = f"devices: {devices}" if devices else "no exam read by these weights yet"
    yield "drift", escape(f"{told}; reference {found['drift']['reference']}")


def _peers(found: Facts, now: datetime) -> Iterator[Line]:
    for sender, at in found["senders"].items():
        yield "sender", f"{escape(sender)}, last image {ago(at, now)}"
    for row in found["destinations"]:
        kind = f"{row['kind']} (insecure)" if row["insecure"] else row["kind"]
        since = f" since {ago(row['owed_since'], now)}" if row["owed_since"] else ""
        owed = f"{row['owed']}{'+' if row['more'] else ''}{since}"
        told = f"{kind}, owed {owed}, stored within a day {row['stored']}"
        told += f", refused {row['refused']}"
        if row["proof"] != "none":
            told += f", proven by {row['proof']} {row['proven']}, not yet {row['unproven']}"
        yield "to", escape(f"{row['name']}: {told}")
        reached = {True: "answers", False: "[red]does not answer[/]", None: "nothing was sent to it so far"}
        yield "", f"{reached[row['reachable']]}; last success {ago(row['last_stored'], now)}"
        if row["last_error"]:
            yield "", escape(f"last error {ago(row['last_error_at'], now)}: {row['last_error']}")
        elif row["comment"]:
            yield "", escape(row["comment"])


def _moment(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _span(passed: timedelta) -> str:
    """A time as its largest unit."""
    seconds = max(0, int(passed.total_seconds()))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
