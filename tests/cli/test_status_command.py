"""`dibmg status` for people, for monitors, and again and again."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from dibmg_node.domain.alarm import AlarmKey, Condition
from dibmg_node.storage.alarms import Damping
from tests.cli.program import dibmg
from tests.factories import START, Clock, new_archive, new_ledger
from tests.storage.life import make_ready


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A node that was up, and holds one study."""
    (tmp_path / "var").mkdir()
    ledger = new_ledger(tmp_path / "var")
    new_archive(tmp_path / "var")
    make_ready(ledger, Clock())
    ledger.engine.dispose()
    (tmp_path / "config.toml").write_text(
        "[[destination]]\nname = 'pacs'\naddress = '127.0.0.1'\nport = 104\nae_title = 'PACS'\n"
    )
    return tmp_path


@contextmanager
def watching(folder: Path, *options: str, output: int = subprocess.PIPE) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "dibmg_node", "status", "--watch", "0.1", *options]
    process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    """Ctrl-C; the exit code, and what was said on standard error."""
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=120)
    return process.returncode, told


def test_the_first_line_says_it_all_in_one_line(folder: Path) -> None:
    answer = dibmg(folder, "status")

    first, second = answer.stdout.splitlines()[:2]
    assert answer.returncode == 2
    assert first.startswith("down - intake does not run; ")
    assert "a study waits for its analysis since 2026" in first
    assert second.startswith("node      down")


def test_an_alarm_about_what_is_told_already_is_no_second_reason(folder: Path) -> None:
    ledger, damping = new_ledger(folder / "var"), Damping(timedelta(0), timedelta(0), timedelta(days=9))
    make_ready(ledger, Clock())
    oldest = ledger.views.oldest_waiting()
    assert oldest is not None
    waits = f"a study waits for its analysis since {oldest.isoformat(timespec='seconds')}"
    held = [Condition(AlarmKey.WAITING, "", waits), Condition(AlarmKey.DISK, "host", "host: it is full")]
    ledger.alarms.observe(held, [], START, damping, START)
    ledger.engine.dispose()

    reasons = json.loads(dibmg(folder, "status", "--json").stdout)["reasons"]

    assert [one for one in reasons if "waits for its analysis" in one] == [waits]
    assert "alarm: host: it is full" in reasons


def test_every_part_of_the_node_has_its_line(folder: Path) -> None:
    told = dibmg(folder, "status").stdout

    labels = [line[:10].strip() for line in told.splitlines()]
    parts = ("studies", "waiting", "failed", "broker", "ledger", "disk", "audit", "intake", "model", "sender")
    assert [part for part in (*parts, "to") if part not in labels] == ["audit"]  # it has none yet
    assert "ledger    answers, SQLite 3" in told
    assert "not filling: nothing came in within a day" in told
    assert "nothing was sent to it so far; last success never" in told
    assert [line for line in told.splitlines() if line != line.rstrip()] == []


def test_a_ledger_that_does_not_answer_is_unknown_with_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[ledger]\nurl = 'postgresql+psycopg://dibmg@127.0.0.1:1/dibmg'\n")

    people, programs = dibmg(tmp_path, "status"), dibmg(tmp_path, "status", "--json")

    assert (people.returncode, programs.returncode) == (3, 3)
    assert people.stdout.startswith("unknown - the ledger cannot be written or read")
    assert json.loads(programs.stdout)["ledger"] == {"answers": False}


def test_watching_into_a_pipe_prints_it_again_and_again_until_ctrl_c(folder: Path) -> None:
    with watching(folder) as process:
        assert process.stdout is not None
        firsts = [next(line for line in process.stdout if line.startswith(b"down - ")) for _ in range(2)]
        code, told = ended(process)

    assert len(firsts) == 2
    assert (code, told) == (2, b"")


def test_watching_as_json_prints_a_document_a_line(folder: Path) -> None:
    with watching(folder, "--json") as process:
        assert process.stdout is not None
        documents = [json.loads(process.stdout.readline()) for _ in range(2)]
        code, told = ended(process)

    assert [one["studies"]["READY"] for one in documents] == [1, 1]
    assert (code, told) == (2, b"")


def test_watching_on_a_narrow_terminal_leaves_it_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "12")
    monkeypatch.setenv("TERM", "xterm")
    leader, follower = pty.openpty()
    seen = b""
    with watching(folder, output=follower) as process:
        os.close(follower)
        while b"research use" not in seen:
            seen += os.read(leader, 4096)
        process.send_signal(signal.SIGINT)
        while b"\x1b[?1049l" not in seen:  # back to the screen before
            seen += os.read(leader, 4096)
        os.close(leader)

    assert b"\x1b[?1049h" in seen
    assert b"Traceback" not in seen
