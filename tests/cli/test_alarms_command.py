"""`dibmg alarms`: what holds, and whether anybody would hear of it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from dibmg_node.domain.alarm import AlarmKey, Condition
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.storage.alarms import Damping
from dibmg_node.storage.ledger import open_ledger
from tests.cli.program import dibmg
from tests.factories import START, Clock, new_ledger
from tests.services.mail_peer import MailPeer
from tests.services.web_peers import Told, WebPeer

DAMPING = Damping(timedelta(seconds=60), timedelta(seconds=300), timedelta(seconds=30))
CHANNELS = """\
[[alarm_channel]]
name = "ops"
kind = "webhook"
url = "{hook}"
[[alarm_channel]]
name = "mail"
kind = "email"
host = "127.0.0.1"
port = {smtp}
security = "none"
from_address = "dibmg@clinic.example"
to = ["pacs@clinic.example"]
"""


def seen(folder: Path, *held: Condition, seconds: int) -> None:
    """Have the ledger in a node's folder know of conditions that hold for some time."""
    (folder / "var").mkdir()
    ledger, clock = new_ledger(folder / "var"), Clock()
    for _ in range(seconds // 10 + 1):
        ledger.alarms.observe(held, ["ops"], clock(), DAMPING, START)
        clock.advance(10)
    ledger.engine.dispose()


def test_what_holds_is_listed_with_its_beginning_and_is_exit_code_1(tmp_path: Path) -> None:
    seen(tmp_path, Condition(AlarmKey.DELIVERY, "pacs", "pacs: 3 results not delivered"), seconds=60)

    told, words = dibmg(tmp_path, "alarms", "--json"), dibmg(tmp_path, "alarms")

    assert (told.returncode, words.returncode) == (1, 1)
    assert json.loads(told.stdout) == [
        {
            "key": "delivery",
            "subject": "pacs",
            "sentence": "pacs: 3 results not delivered",
            "since": "2026-03-04 05:06:07+00:00",
            "alarm": True,
        }
    ]
    assert "pacs: 3 results not delivered" in words.stdout


def test_what_has_not_held_for_long_enough_is_listed_and_is_no_alarm(tmp_path: Path) -> None:
    seen(tmp_path, Condition(AlarmKey.DISK, "", "the disk is full"), seconds=10)

    told = dibmg(tmp_path, "alarms", "--json")

    assert told.returncode == 0
    assert [(one["key"], one["alarm"]) for one in json.loads(told.stdout)] == [("disk", False)]


def test_without_an_alarm_it_says_so(tmp_path: Path) -> None:
    seen(tmp_path, seconds=10)

    told = dibmg(tmp_path, "alarms")

    assert (told.returncode, told.stdout) == (0, "no alarm\n")


def test_the_status_tells_alarms_and_channels_that_cannot_tell_them(tmp_path: Path) -> None:
    seen(tmp_path, Condition(AlarmKey.DISK, "", "the disk is full"), seconds=60)
    (tmp_path / "config.toml").write_text(CHANNELS.format(hook="http://127.0.0.1:1", smtp=1))
    ledger = open_ledger(f"sqlite:///{tmp_path / 'var' / 'ledger.sqlite'}", ExamPolicy())
    clock = Clock(START + timedelta(seconds=60))
    notice = ledger.notices.claim("ops", clock(), timedelta(minutes=1))
    assert notice is not None
    ledger.notices.failed(notice, "no connection", clock())
    ledger.engine.dispose()

    told, words = dibmg(tmp_path, "status", "--json"), dibmg(tmp_path, "status")

    found = json.loads(told.stdout)
    assert [(one["key"], one["sentence"]) for one in found["alarms"]] == [("disk", "the disk is full")]
    assert [(one["name"], one["owed"], one["failing"]) for one in found["alarm_channels"]] == [
        ("ops", 1, 1),
        ("mail", 0, 0),
    ]
    assert "alarm: the disk is full" in found["reasons"]
    assert "alarm_channel ops: alarms are not told: no connection" in found["reasons"]
    assert "alarms to ops: webhook, last told never, to tell 1" in words.stdout


def test_a_test_message_reaches_every_channel(tmp_path: Path) -> None:
    with WebPeer(lambda _: Told(200)).running() as hook, MailPeer().running() as mail:
        (tmp_path / "config.toml").write_text(CHANNELS.format(hook=hook.url, smtp=mail.port))

        told = dibmg(tmp_path, "alarms", "test")

    assert (told.returncode, told.stdout) == (0, "ops: told\nmail: told\n")
    assert json.loads(hook.asked[0].body)["event"] == "test"
    assert mail.letters[0]["Subject"].endswith("test message, no alarm")


def test_a_channel_that_takes_no_test_message_is_named_and_the_others_get_theirs(tmp_path: Path) -> None:
    with WebPeer(lambda _: Told(404)).running() as hook, MailPeer().running() as mail:
        (tmp_path / "config.toml").write_text(CHANNELS.format(hook=hook.url, smtp=mail.port))

        told = dibmg(tmp_path, "alarms", "test", "--json")

    assert told.returncode == 1
    assert [(one["channel"], one["told"], one["reason"]) for one in json.loads(told.stdout)] == [
        ("ops", False, "answered 404 not found"),
        ("mail", True, ""),
    ]
    assert len(mail.letters) == 1


def test_a_test_without_a_channel_fails(tmp_path: Path) -> None:
    told = dibmg(tmp_path, "alarms", "test")

    assert (told.returncode, told.stderr) == (1, "dibmg: no [[alarm_channel]] is configured\n")
