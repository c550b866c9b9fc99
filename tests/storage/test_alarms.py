"""Alarms have one beginning and one end, whoever looks; each channel is owed both once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Barrier

import pytest

from dibmg_node.domain.alarm import AlarmEvent, AlarmKey, Condition
from dibmg_node.storage.alarms import Alarm, Damping
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.notices import TOLD_WITHIN, Notice
from tests.factories import START, Clock

LEASE = timedelta(minutes=2)
DAMPING = Damping(hold=timedelta(seconds=60), clear=timedelta(seconds=300), gap=timedelta(seconds=30))
DOWN = Condition(AlarmKey.DELIVERY, "pacs", "pacs: 3 results not delivered")
FULL = Condition(AlarmKey.DISK, "", "the disk is full")


@dataclass
class Host:
    """One of those who look, every ten seconds."""

    ledger: Ledger
    clock: Clock
    channels: Sequence[str] = ("ops",)
    watching_since: datetime = START
    told: list[tuple[str, str]] = field(default_factory=list)

    def look(self, *held: Condition, seconds: int = 0) -> None:
        """Look once, and then every ten seconds for some time."""
        for number in range(seconds // 10 + 1):
            now = self.clock.advance(10) if number else self.clock()
            begun, ended = self.ledger.alarms.observe(held, self.channels, now, DAMPING, self.watching_since)
            self.told += [("began", one.key) for one in begun] + [("ended", one.key) for one in ended]


@pytest.fixture
def host(ledger: Ledger, clock: Clock) -> Host:
    return Host(ledger, clock)


def raised(ledger: Ledger) -> list[Alarm]:
    return [one for one in ledger.alarms.open() if one.raised_at]


def claimed(ledger: Ledger, clock: Clock, channel: str = "ops") -> Notice:
    notice = ledger.notices.claim(channel, clock(), LEASE)
    assert notice is not None
    return notice


def take(ledger: Ledger, clock: Clock, channel: str = "ops") -> list[tuple[AlarmEvent, str]]:
    """Everything that a channel has to tell now, told."""
    found = []
    while (notice := ledger.notices.claim(channel, clock(), LEASE)) is not None:
        ledger.notices.sent(notice, clock())
        found.append((notice.event, notice.key))
    return found


def test_a_condition_becomes_an_alarm_once_it_has_held_for_long_enough(host: Host, ledger: Ledger) -> None:
    host.look(DOWN, seconds=50)
    before = (raised(ledger), [one.key for one in ledger.alarms.open()])
    host.look(DOWN, seconds=200)

    assert before == ([], ["delivery"])
    assert host.told == [("began", "delivery")]
    assert [(one.subject, one.sentence, one.since) for one in raised(ledger)] == [
        ("pacs", DOWN.sentence, START)
    ]


def test_what_does_not_hold_for_long_enough_is_told_to_nobody_and_forgotten(
    host: Host, ledger: Ledger, clock: Clock
) -> None:
    host.look(DOWN, seconds=50)
    host.look(seconds=40)
    forgotten = ledger.alarms.open()
    host.look(DOWN, seconds=50)

    assert forgotten == []
    assert host.told == []
    assert take(ledger, clock) == []


def test_an_alarm_ends_once_its_condition_has_been_gone_for_long_enough(host: Host, ledger: Ledger) -> None:
    host.look(DOWN, seconds=60)
    host.look(seconds=290)
    before = list(host.told)
    host.look(seconds=20)

    assert before == [("began", "delivery")]
    assert host.told == [("began", "delivery"), ("ended", "delivery")]
    assert ledger.alarms.open() == []


def test_a_condition_that_comes_and_goes_is_one_alarm(host: Host) -> None:
    host.look(DOWN, seconds=60)
    for _ in range(20):
        host.look(seconds=200)
        host.look(DOWN, seconds=20)

    assert host.told == [("began", "delivery")]


def test_two_conditions_are_two_alarms(host: Host, ledger: Ledger, clock: Clock) -> None:
    host.look(DOWN, FULL, seconds=60)
    host.look(FULL, seconds=310)

    assert sorted(host.told) == [("began", "delivery"), ("began", "disk"), ("ended", "delivery")]
    assert [one.key for one in raised(ledger)] == ["disk"]
    assert sorted(take(ledger, clock)) == [
        (AlarmEvent.BEGAN, "delivery"),
        (AlarmEvent.BEGAN, "disk"),
        (AlarmEvent.ENDED, "delivery"),
    ]


def test_a_restart_neither_ends_an_alarm_nor_tells_it_again(host: Host, ledger: Ledger, clock: Clock) -> None:
    host.look(DOWN, seconds=60)
    take(ledger, clock)

    after = Host(ledger, clock, watching_since=clock.advance(7200))
    after.look()
    after.look(DOWN, seconds=100)

    assert after.told == []
    assert take(ledger, clock) == []


def test_two_hosts_that_see_the_same_tell_it_once(host: Host, ledger: Ledger, clock: Clock) -> None:
    other = Host(ledger, clock)
    for _ in range(12):
        host.look(DOWN)
        other.look(DOWN)
        clock.advance(10)

    assert host.told + other.told == [("began", "delivery")]
    assert take(ledger, clock) == [(AlarmEvent.BEGAN, "delivery")]


def test_two_hosts_that_see_the_same_at_the_same_moment_tell_it_once(ledger: Ledger, clock: Clock) -> None:
    at_once = Damping(hold=timedelta(0), clear=timedelta(0), gap=timedelta(seconds=30))
    together = Barrier(2)

    def look(subject: str) -> int:
        together.wait()
        condition = Condition(AlarmKey.DELIVERY, subject, "not delivered")
        begun, _ = ledger.alarms.observe([condition], ["ops"], clock(), at_once, START)
        return len(begun)

    with ThreadPoolExecutor(2) as pool:
        begun = [sum(pool.map(look, (f"pacs{number}",) * 2)) for number in range(10)]

    assert begun == [1] * 10
    assert len(take(ledger, clock)) == 10


def test_what_one_of_two_hosts_sees_is_not_ended_by_the_other_however_short_the_clearing(
    ledger: Ledger, clock: Clock
) -> None:
    at_once = Damping(hold=timedelta(0), clear=timedelta(0), gap=timedelta(seconds=30))
    told = []
    for _ in range(20):
        for held in ([FULL], []):
            begun, ended = ledger.alarms.observe(held, ["ops"], clock.advance(5), at_once, START)
            told += [*begun, *ended]

    assert [(one.key, one.ended_at) for one in told] == [("disk", None)]


def test_a_self_test_that_passes_ends_the_alarm_of_the_one_that_broke_at_once(host: Host) -> None:
    broke = Condition(AlarmKey.SELFTEST, "", "the last self-test broke at association: rejected")
    host.look(broke, DOWN, seconds=60)
    host.clock.advance(10)

    host.look(seconds=0)

    assert host.told == [("began", "selftest"), ("began", "delivery"), ("ended", "selftest")]


def test_an_alarm_of_a_clock_that_was_set_back_ends_once_its_condition_is_gone(
    host: Host, ledger: Ledger
) -> None:
    host.clock.advance(8 * 3600)
    host.watching_since = host.clock()
    host.look(DOWN, seconds=60)
    host.clock.advance(-8 * 3600)

    host.look(DOWN, seconds=20)
    host.look(seconds=290)
    still = list(host.told)
    host.look(seconds=20)

    assert still == [("began", "delivery")]
    assert host.told == [("began", "delivery"), ("ended", "delivery")]
    assert ledger.alarms.open() == []


def test_what_held_before_the_clock_was_set_back_is_an_alarm_or_forgotten_soon(
    host: Host, ledger: Ledger
) -> None:
    host.clock.advance(8 * 3600)
    host.look(DOWN, FULL, seconds=30)
    host.clock.advance(-8 * 3600)

    host.look(DOWN, seconds=60)

    assert host.told == [("began", "delivery")]
    assert [one.key for one in ledger.alarms.open()] == ["delivery"]


@pytest.mark.parametrize("ahead", [-20, 20])
def test_hosts_whose_clocks_differ_a_little_leave_each_other_s_alarms_alone(
    host: Host, ledger: Ledger, clock: Clock, ahead: int
) -> None:
    other = Host(ledger, Clock(clock() + timedelta(seconds=ahead)))
    for _ in range(60):
        host.look(FULL)
        other.look()
        clock.advance(10)
        other.clock.advance(10)

    assert host.told + other.told == [("began", "disk")]


def test_what_one_host_alone_sees_is_not_over_because_another_does_not(
    host: Host, ledger: Ledger, clock: Clock
) -> None:
    other = Host(ledger, clock)
    for _ in range(60):
        host.look(FULL)
        other.look()
        clock.advance(10)

    assert host.told + other.told == [("began", "disk")]


def test_every_channel_is_owed_beginning_and_end_in_that_order(ledger: Ledger, clock: Clock) -> None:
    host = Host(ledger, clock, channels=("mail", "ops"))
    host.look(DOWN, seconds=60)
    first = take(ledger, clock, "ops")
    host.look(seconds=310)

    assert first == [(AlarmEvent.BEGAN, "delivery")]
    assert take(ledger, clock, "ops") == [(AlarmEvent.ENDED, "delivery")]
    assert take(ledger, clock, "mail") == [(AlarmEvent.BEGAN, "delivery"), (AlarmEvent.ENDED, "delivery")]


def test_a_channel_that_is_new_is_told_what_holds_and_not_what_is_over(ledger: Ledger, clock: Clock) -> None:
    Host(ledger, clock).look(DOWN, FULL, seconds=60)
    Host(ledger, clock).look(FULL, seconds=280)
    clock.advance(20)
    last = Host(ledger, clock, channels=("ops", "new"))
    last.look(FULL)

    assert last.told == [("ended", "delivery")]
    assert take(ledger, clock, "new") == [(AlarmEvent.BEGAN, "disk")]


def test_a_notice_in_hand_is_given_to_nobody_else_until_its_lease_is_over(
    host: Host, ledger: Ledger, clock: Clock
) -> None:
    host.look(DOWN, seconds=60)
    first = claimed(ledger, clock)

    meanwhile = ledger.notices.claim("ops", clock(), LEASE)
    clock.advance(LEASE.total_seconds())

    assert meanwhile is None
    assert claimed(ledger, clock).id == first.id


def test_what_was_not_told_is_tried_again_after_pauses_that_grow(
    host: Host, ledger: Ledger, clock: Clock
) -> None:
    host.look(DOWN, seconds=60)
    pauses = []
    for _ in range(9):
        ledger.notices.failed(claimed(ledger, clock), "no connection", clock())
        asked = clock()
        while ledger.notices.claim("ops", clock(), timedelta(0)) is None:
            clock.advance(15)
        pauses.append((clock() - asked).total_seconds())

    view = ledger.notices.channel("ops", clock())
    ledger.notices.sent(claimed(ledger, clock), clock())
    after = ledger.notices.channel("ops", clock())

    assert pauses == [15, 30, 60, 120, 240, 480, 900, 900, 900]
    assert (view.owed, view.failing, view.comment, view.last_sent) == (1, 1, "no connection", None)
    assert (after.owed, after.failing, after.comment, after.last_sent) == (0, 0, "", clock())


def test_a_channel_that_asks_to_be_left_alone_for_a_day_is_tried_after_a_quarter_of_an_hour(
    host: Host, ledger: Ledger, clock: Clock
) -> None:
    host.look(DOWN, seconds=60)
    ledger.notices.failed(claimed(ledger, clock), "busy", clock(), wait=timedelta(days=1))

    assert ledger.notices.claim("ops", clock.advance(900), LEASE) is not None


def test_a_channel_that_asks_to_be_left_alone_is(host: Host, ledger: Ledger, clock: Clock) -> None:
    host.look(DOWN, seconds=60)
    ledger.notices.failed(claimed(ledger, clock), "busy", clock(), wait=timedelta(seconds=100))

    early = ledger.notices.claim("ops", clock.advance(99), LEASE)

    assert early is None
    assert ledger.notices.claim("ops", clock.advance(1), LEASE) is not None


def test_what_is_over_for_a_day_is_not_told_any_more(host: Host, ledger: Ledger, clock: Clock) -> None:
    host.look(DOWN, seconds=60)
    host.look(seconds=310)
    clock.advance(TOLD_WITHIN.total_seconds())

    assert take(ledger, clock) == []
    assert ledger.notices.channel("ops", clock()).owed == 0


def test_what_is_over_for_a_month_is_forgotten_with_what_was_told_of_it(
    host: Host, ledger: Ledger, clock: Clock
) -> None:
    host.look(DOWN, seconds=60)
    host.look(seconds=310)
    take(ledger, clock)
    clock.advance(timedelta(days=31).total_seconds())
    host.look(FULL)

    assert ledger.notices.channel("ops", clock()).last_sent is None


def test_subjects_that_are_too_long_are_told_apart_and_keep_no_other_alarm_from_being_told(
    ledger: Ledger, clock: Clock, host: Host
) -> None:
    long = [Condition(AlarmKey.AUDIT, "é" * 128 + end, f"lines wait for {end}") for end in ("a", "b")]

    host.look(DOWN, *long, seconds=60)

    subjects = [one.subject for one in raised(ledger) if one.key == "audit"]
    assert len(raised(ledger)) == 3
    assert len(set(subjects)) == 2
    assert [len(one) for one in subjects] == [128, 128]


def test_an_alarm_that_cannot_be_told_holds_up_its_own_end_and_no_other_alarm(
    host: Host, ledger: Ledger, clock: Clock
) -> None:
    host.look(DOWN, FULL, seconds=60)
    ledger.notices.failed(claimed(ledger, clock), "refused", clock(), timedelta(hours=1))
    host.look(seconds=310)

    told = take(ledger, clock)
    clock.advance(3600)

    assert told == [(AlarmEvent.BEGAN, "disk"), (AlarmEvent.ENDED, "disk")]
    assert take(ledger, clock) == [(AlarmEvent.BEGAN, "delivery"), (AlarmEvent.ENDED, "delivery")]
