"""The watch: from what holds to what a web server and a mail server are told."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta

import pytest

from dibmg_node.domain.alarm import AlarmKey, AlarmMessage, Condition
from dibmg_node.services.alarm_watch import LOOK_EVERY, AlarmWatch, Channel
from dibmg_node.services.credentials import Anonymous
from dibmg_node.services.mail import Mail, MailSecurity, MailServer
from dibmg_node.services.tls import TlsFiles
from dibmg_node.services.webhook import Webhook
from dibmg_node.storage.ledger import Ledger
from tests.factories import Clock
from tests.services.mail_peer import MailPeer
from tests.services.web_peers import Asked, Told, WebPeer

DOWN = Condition(AlarmKey.DELIVERY, "pacs", "pacs: 3 results not delivered")


class Watched:
    """A watch over what a test says that holds, by a clock that goes when it looks."""

    def __init__(self, ledger: Ledger, clock: Clock, channels: Mapping[str, Channel]) -> None:
        self.held: Sequence[Condition] = ()
        self._clock = clock
        self._watch = AlarmWatch(
            lambda: self.held,
            ledger.alarms,
            ledger.notices,
            channels,
            timedelta(seconds=60),
            timedelta(seconds=300),
            clock,
            "DIBMG@host",
        )

    def look(self, *held: Condition, seconds: int) -> None:
        self.held = held
        for _ in range(seconds // int(LOOK_EVERY.total_seconds())):
            self._watch.watch()
            self._clock.advance(LOOK_EVERY.total_seconds())


def webhook(peer: WebPeer, clock: Clock) -> Webhook:
    return Webhook(lambda: peer.url, Anonymous(), TlsFiles(), clock)


def events(peer: WebPeer) -> list[str]:
    return [json.loads(one.body)["id"].partition("-")[2] for one in peer.asked]


def test_each_alarm_and_its_end_are_told_once_on_every_channel(ledger: Ledger, clock: Clock) -> None:
    with ExitStack() as peers:
        ops = peers.enter_context(WebPeer(lambda _: Told(200)).running())
        mail = peers.enter_context(MailPeer().running())
        server = MailServer("127.0.0.1", mail.port, MailSecurity.NONE, "", str, TlsFiles())
        letters = Mail(server, "dibmg@clinic.example", ("pacs@clinic.example",), clock)
        watched = Watched(ledger, clock, {"ops": webhook(ops, clock), "mail": letters})

        watched.look(DOWN, seconds=600)
        watched.look(seconds=600)

    assert events(ops) == ["began", "ended"]
    assert [one["Subject"].partition(" ")[2] for one in mail.letters] == [
        "alarm: delivery pacs",
        "alarm over: delivery pacs",
    ]


def test_a_channel_that_is_down_keeps_no_other_from_telling_and_tells_when_it_is_back(
    ledger: Ledger, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    up = []

    def answer(_: Asked) -> Told:
        return Told(200 if up else 503)

    with WebPeer(answer).running() as sick, WebPeer(lambda _: Told(200)).running() as well:
        channels = {"a-sick": webhook(sick, clock), "well": webhook(well, clock)}
        watched = Watched(ledger, clock, channels)
        watched.look(DOWN, seconds=300)
        while_down = ledger.notices.channel("a-sick", clock())
        up.append(True)
        watched.look(DOWN, seconds=900)

    assert events(well) == ["began"]
    assert set(events(sick)) == {"began"}
    assert (while_down.owed, while_down.failing) == (1, 1)
    assert while_down.comment == "answered 503 service unavailable"
    assert ledger.notices.channel("a-sick", clock()).owed == 0
    assert "alarm not told" in {one.message for one in caplog.records}


def test_a_message_that_is_refused_for_good_holds_up_no_other_alarm(ledger: Ledger, clock: Clock) -> None:
    full = Condition(AlarmKey.DISK, "", "the disk is full")

    def answer(asked: Asked) -> Told:
        return Told(400 if b"delivery" in asked.body else 200)

    with WebPeer(answer).running() as hook:
        watched = Watched(ledger, clock, {"ops": webhook(hook, clock)})
        watched.look(DOWN, seconds=300)
        watched.look(DOWN, full, seconds=100)

        told = [one for one in hook.asked if b"the disk is full" in one.body]

    assert len(told) == 1
    assert ledger.notices.channel("ops", clock()).owed == 1


def test_a_channel_that_is_down_is_asked_once_in_a_while_however_many_alarms_there_are(
    ledger: Ledger, clock: Clock
) -> None:
    many = [Condition(AlarmKey.DELIVERY, f"pacs {n}", "not delivered") for n in range(20)]

    with WebPeer(lambda _: Told(503)).running() as sick:
        watched = Watched(ledger, clock, {"sick": webhook(sick, clock)})
        watched.look(*many, seconds=90)

    assert 1 <= len(sick.asked) <= 2


def test_an_alarm_and_its_end_are_in_the_log_without_any_channel(
    ledger: Ledger, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    watched = Watched(ledger, clock, {})

    watched.look(DOWN, seconds=600)
    watched.look(seconds=600)

    assert [(one.levelname, one.message) for one in caplog.records] == [
        ("ERROR", "alarm"),
        ("WARNING", "alarm over"),
    ]


def test_a_channel_that_breaks_in_an_unforeseen_way_keeps_its_notice(ledger: Ledger, clock: Clock) -> None:
    class Broken:
        def tell(self, message: AlarmMessage) -> None:
            raise RuntimeError(message.sentence)

    with WebPeer(lambda _: Told(200)).running() as well:
        watched = Watched(ledger, clock, {"broken": Broken(), "well": webhook(well, clock)})
        watched.look(DOWN, seconds=100)

    view = ledger.notices.channel("broken", clock())
    assert (view.owed, view.comment) == (1, "unexpected RuntimeError")
    assert events(well) == ["began"]
