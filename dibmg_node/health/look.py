"""How the node is: what `dibmg status` prints, the dashboard shows and the metrics count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from dibmg_node.config import Settings
from dibmg_node.domain.counted import counted
from dibmg_node.domain.pause import Part, Pause
from dibmg_node.errors import RetryableError
from dibmg_node.health.capacity import look_at_archive, look_at_disk, look_at_ledger
from dibmg_node.health.certificate_watch import expiries
from dibmg_node.health.condition import Health
from dibmg_node.health.conditions import overlong_audit, overlong_wait
from dibmg_node.health.model_facts import drift_facts, model_facts, shadow_facts, weights_in_use
from dibmg_node.health.roll_call import call_roll
from dibmg_node.services.audit_forwarding import backlog
from dibmg_node.storage.lacking import Lacking
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.trail import find_head, standing_still
from dibmg_node.storage.trail_reading import Bookmark, load_bookmark, still_holds
from dibmg_node.storage.trail_verification import load_verification
from dibmg_node.tasks import CeleryPublisher, open_queue
from dibmg_node.wiring import foundation
from dibmg_node.wiring.auditing import bookmark_file, trail_folder, verification_file
from dibmg_node.wiring.exposure import is_insecure
from dibmg_node.wiring.selftest_watch import helpers, selftest_facts

_DAY: Final = timedelta(days=1)


def look(settings: Settings, ledger: Ledger, roles: Sequence[str]) -> dict[str, Any]:
    """Everything at a glance.

    Args:
        settings: Of the node.
        ledger: Its ledger.
        roles: The processes that this node has, where none is up.

    Raises:
        DibmgError: The ledger does not answer.
    """
    health = Health()
    broker = _broker(settings, health)  # it may take seconds to say nothing
    now = foundation.now()
    with ledger.at_one_moment() as then:
        found = {"broker": broker, **_look(settings, then, roles, now, health)}
    if told := overlong_wait(found, settings.alarms, now):
        health.degraded.append(told)
    if told := overlong_audit(found, settings.alarms, now):
        health.degraded.append(told)
    known = tuple(health.down + health.degraded)
    for one in found["alarms"]:
        # an alarm that says what stands there already is no second reason
        if not one["sentence"].endswith(known):
            health.degraded.append(f"alarm: {one['sentence']}")
    return {"health": health.word, "reasons": health.down + health.degraded, **found}


def _look(
    settings: Settings, ledger: Ledger, roles: Sequence[str], now: datetime, health: Health
) -> dict[str, Any]:
    views = ledger.views
    # first of all, since it compares clocks: weights may take seconds to be read
    roll = call_roll(ledger, settings.node_name, roles, now)
    pauses = ledger.pauses.all()
    health.degraded += [one.sentence for one in pauses]
    failed = views.failed_since(now - _DAY)
    if failed:
        health.degraded.append(f"{counted(failed, 'study', 'studies')} failed within a day")
    weights, choice = weights_in_use(settings, health.degraded)
    late_before = now - timedelta(minutes=settings.alarms.delivery_minutes)
    lacking = views.lacking(late_before)
    health.down += roll.down
    health.degraded += roll.degraded
    return {
        "node": settings.node_name,
        "pauses": [vars(one) for one in pauses],
        "processes": roll.processes,
        "nodes": roll.nodes,
        "studies": views.count_by_state(),
        "oldest_waiting": views.oldest_waiting(),
        "analysis_resumed_at": ledger.pauses.resumed_at(Part.ANALYSIS),
        "failed_last_day": failed,
        "senders": views.last_received(),
        "overdue": _overdue(settings, ledger, late_before, lacking),
        "alarms": _alarms(ledger),
        "alarm_channels": _alarm_channels(settings, ledger, now, health),
        "destinations": _destinations(settings, ledger, lacking, pauses, now, health),
        "ledger": look_at_ledger(ledger),
        "disk": look_at_disk(settings, ledger, now, health),
        "archive": look_at_archive(settings, ledger, health),
        "model": model_facts(settings, weights, choice),
        "shadow": shadow_facts(settings, ledger, now, health.degraded),
        "drift": drift_facts(settings, ledger, weights, choice, now, health.degraded),
        "intake": _intake(settings),
        "rejected": [vars(one) for one in ledger.rejections.newest()],
        "web": _web(settings),
        "audit": _audit(settings, now, health),
        "certificates": _certificates(settings, now, health),
        "selftest": selftest_facts(
            settings.selftest.every_hours,
            ledger.selftests,
            now,
            health.degraded,
            helpers(ledger, settings.node_name, now),
        ),
    }


def _overdue(
    settings: Settings, ledger: Ledger, late_before: datetime, lacking: Mapping[str, Lacking]
) -> list[dict[str, Any]]:
    if not settings.alarms.delivery_minutes:
        return []
    return [vars(one) for one in ledger.overdue.before(late_before, lacking)]


def _alarms(ledger: Ledger) -> list[dict[str, Any]]:
    return [
        {"key": one.key, "subject": one.subject, "sentence": one.sentence, "since": one.since}
        for one in ledger.alarms.open()
        if one.raised_at
    ]


def _alarm_channels(
    settings: Settings, ledger: Ledger, now: datetime, health: Health
) -> list[dict[str, Any]]:
    rows = []
    for channel in settings.alarm_channel:
        view = ledger.notices.channel(channel.name, now)
        if view.failing:
            health.degraded.append(f"alarm_channel {channel.name}: alarms are not told: {view.comment}")
        rows.append({"name": channel.name, "kind": channel.kind, "insecure": channel.insecure, **vars(view)})
    return rows


def _intake(settings: Settings) -> dict[str, Any]:
    intake = settings.intake
    return {
        "ae_title": intake.ae_title,
        "address": intake.address,
        "port": intake.port,
        "tls": intake.tls is not None,
        "client_certificates": intake.tls is not None and intake.tls.ca is not None,
        "insecure": is_insecure(intake),
    }


def _certificates(settings: Settings, now: datetime, health: Health) -> list[dict[str, Any]]:
    found = expiries(settings)
    health.degraded += [told for one in found if (told := one.warning(now))]
    return [{"key": one.key, "expires_at": one.at} for one in found]


def _web(settings: Settings) -> dict[str, Any] | None:
    web = settings.web
    if web is None:
        return None
    host = f"[{web.address}]" if ":" in web.address else web.address
    url = f"{'https' if web.tls else 'http'}://{host}:{web.port}/dicom-web"
    return {
        "url": url,
        "stow": settings.stow.enabled,
        "token": bool(settings.web_tokens),
        "insecure": is_insecure(web),
    }


def _audit(settings: Settings, now: datetime, health: Health) -> dict[str, Any]:
    """The end of the audit trail, and how far it was passed on."""
    folder = trail_folder(settings)
    try:
        with standing_still(folder):
            head = find_head(folder)
        sent = load_bookmark(bookmark_file(settings))
        if not still_holds(folder, sent):
            sent = Bookmark(
                cut_at=now.isoformat(timespec="seconds")
            )  # as whoever passes it on is about to begin
        oldest = backlog(folder, sent) if settings.audit.syslog else ""
    except OSError as error:
        health.degraded.append(f"audit trail: {error.strerror}")
        return {"lines": None, "head": None, "verified": None, "syslog": None}
    verified = load_verification(verification_file(settings))
    if verified and verified.reason:
        health.degraded.append(f"the audit trail is not whole: {verified.reason}")
    found: dict[str, Any] = {
        "lines": head.seq,
        "head": head.digest,
        "verified": verified and vars(verified),
        "syslog": None,
    }
    if settings.audit.syslog:
        # somebody who verifies the trail since has looked
        if sent.cut_at and not (verified and verified.at > sent.cut_at):
            health.degraded.append("the audit trail ends before what was passed on")
        found["syslog"] = {
            "to": settings.audit.syslog,
            "sent": sent.seq,
            "waiting": head.seq - sent.seq,
            "oldest_waiting": oldest or None,
            "error": sent.error,
        }
    return found


def _broker(settings: Settings, health: Health) -> dict[str, Any]:
    app = open_queue(settings.broker_url, settings.model.deadline_seconds, foundation.broker_tls(settings))
    try:
        analyses, deliveries = CeleryPublisher(app).waiting()
        return {"answers": True, "analyses": sum(analyses.values()), "deliveries": deliveries}
    except RetryableError as error:
        health.degraded.append(str(error))
        return {"answers": False, "analyses": None, "deliveries": None}


def _destinations(
    settings: Settings,
    ledger: Ledger,
    lacking: Mapping[str, Lacking],
    pauses: Sequence[Pause],
    now: datetime,
    health: Health,
) -> list[dict[str, Any]]:
    rows = []
    for destination in settings.destination:
        owing = lacking.get(destination.name, Lacking())
        view = ledger.views.destination(destination.name, now - _DAY, owing)
        pause = next((one for one in pauses if one.name == destination.name), None)
        if view.failing and not pause:
            health.degraded.append(
                f"{destination.name}: {counted(view.failing, 'result')} could not be sent yet"
            )
        if view.doubtful and not pause:
            health.degraded.append(
                f"{destination.name}: {counted(view.doubtful, 'result')} could not be proven yet"
            )
        if view.refused:
            health.degraded.append(
                f"{destination.name}: {counted(view.refused, 'result was', 'results were')} refused"
            )
        rows.append(
            {
                "name": destination.name,
                "kind": destination.kind,
                "insecure": destination.insecure,
                "proof": destination.proof.value,
                "paused": pause.sentence if pause else None,
                **vars(view),
                **vars(ledger.reach.of(destination.name)),
            }
        )
    return rows
