"""`dibmg audit`: exit codes, and what is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dibmg_node.cli.main import cli
from dibmg_node.config import Settings, load_settings
from dibmg_node.services.wire import TurnedAway
from dibmg_node.storage.trail import trail_files
from dibmg_node.storage.trail_reading import Bookmark, save_bookmark
from dibmg_node.storage.trail_verification import load_verification
from dibmg_node.wiring.auditing import bookmark_file, open_audit, trail_folder, verification_file
from tests.factories import Clock, new_ledger


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A node that has seen something."""
    monkeypatch.delenv("DIBMG_AUDIT_KEY", raising=False)
    (tmp_path / "config.toml").write_text("")
    made = load_settings(tmp_path / "config.toml")
    clock = Clock()
    auditor = open_audit(made, "intake", clock)
    auditor.started("intake")
    auditor.turned_away(TurnedAway("10.9.9.9", "EVIL", "DIBMG", "calling AE title not recognized"))
    clock.advance(86400)
    auditor.accessed("10.0.0.9", "1.2.3", ["1.2.840.10008.5.1.4.1.1.88.50"], auditor._pseudonyms.of("P123"))
    return made


def status(settings: Settings) -> tuple[list[str], dict[str, object]]:
    """Reasons, and what is said of the receiver."""
    told = json.loads(CliRunner().invoke(cli, ["status", "--json", "--config", str(settings.path)]).stdout)
    return told["reasons"], told["audit"]["syslog"]


def dibmg(settings: Settings, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["audit", *arguments, "--config", str(settings.path)])


def test_a_whole_trail_ends_with_0_and_tells_its_head(settings: Settings) -> None:
    told = json.loads(dibmg(settings, "verify", "--json").stdout)

    ended = dibmg(settings, "verify", "--head", told["head"])

    assert (ended.exit_code, ended.stdout.splitlines()) == (
        0,
        [
            "whole: 3 lines in 2 files, 2026-03-04T05:06:07.000+00:00 to 2026-03-05T05:06:07.000+00:00",
            f"head: {told['head']}",
        ],
    )
    assert (told["whole"], told["lines"], told["files"], told["broken"]) == (True, 3, 2, None)


def test_a_broken_trail_ends_with_1_and_names_file_and_line(settings: Settings) -> None:
    path = trail_folder(settings) / "audit-000001.jsonl"
    path.write_text(path.read_text().replace("EVIL", "GOOD"))

    ended, as_json = dibmg(settings, "verify"), dibmg(settings, "verify", "--json")

    reason = "changed: line 2 is not what line 3 follows"
    assert (ended.exit_code, ended.stdout) == (1, f"{path}:2: {reason}\n")
    assert (as_json.exit_code, json.loads(as_json.stdout)["broken"]) == (
        1,
        {"file": str(path), "line": 2, "reason": reason},
    )


def test_what_a_verification_found_is_kept_and_a_break_makes_the_node_degraded(settings: Settings) -> None:
    path = trail_folder(settings) / "audit-000001.jsonl"
    new_ledger(settings.data_dir).engine.dispose()
    dibmg(settings, "verify")
    whole = load_verification(verification_file(settings))
    path.write_text(path.read_text().replace("EVIL", "GOOD"))

    dibmg(settings, "verify", "--from", "1")

    told = json.loads(CliRunner().invoke(cli, ["status", "--json", "--config", str(settings.path)]).stdout)
    assert whole is not None
    assert (whole.lines, whole.reason, whole.first_seq) == (3, "", 1)
    assert told["audit"]["verified"]["by"].endswith(", by command")
    reason = "the audit trail is not whole: audit-000001.jsonl:2: changed: line 2 is not what line 3 follows"
    assert reason in told["reasons"]


def test_the_head_of_the_last_whole_verification_is_asked_for_until_a_beginning_is_named(
    settings: Settings,
) -> None:
    dibmg(settings, "verify")
    trail_files(trail_folder(settings))[-1][1].unlink()

    cut = [dibmg(settings, "verify") for _ in range(2)]
    accepted = [dibmg(settings, "verify", "--from", "1"), dibmg(settings, "verify")]

    assert [one.exit_code for one in cut + accepted] == [1, 1, 0, 0]
    assert "the end was cut off, or all was rewritten" in cut[1].stdout


def test_where_older_files_went_the_line_to_begin_with_is_named_once(settings: Settings) -> None:
    dibmg(settings, "verify")
    trail_files(trail_folder(settings))[0][1].unlink()

    unnamed, named, later = (dibmg(settings, "verify", *one) for one in ((), ("--from", "3"), ()))
    kept = load_verification(verification_file(settings))

    assert [one.exit_code for one in (unnamed, named, later)] == [1, 0, 0]
    assert kept is not None
    assert (kept.first_seq, kept.reason, kept.expected) == (3, "", kept.head)


def test_a_head_that_is_not_in_the_trail_ends_with_1(settings: Settings) -> None:
    assert dibmg(settings, "verify", "--head", "0" * 64).exit_code == 1


def test_a_wrong_configuration_ends_with_2(settings: Settings) -> None:
    assert settings.path is not None
    settings.path.write_text("[intake]\nport = 0\n")

    assert dibmg(settings, "verify").exit_code == 2


@pytest.mark.parametrize("command", [("verify",), ("show",), ("show", "--patient", "P123")])
def test_where_there_is_no_trail_that_is_said_and_nothing_is_made(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "config.toml").write_text("")

    ended = dibmg(load_settings(tmp_path / "config.toml"), *command)

    assert (ended.exit_code, ended.stdout, "no audit trail" in ended.stderr) == (1, "", True)
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize("emptied", [False, True])
def test_a_trail_that_is_gone_is_not_whole(settings: Settings, emptied: bool) -> None:
    for _, path in trail_files(trail_folder(settings)):
        if emptied:
            path.write_bytes(b"")
        else:
            path.unlink()

    ended = dibmg(settings, "verify")

    told = "somebody emptied it" if emptied else "no audit trail"
    assert (ended.exit_code, ended.stdout, told in ended.stderr) == (1, "", True)
    assert load_verification(verification_file(settings)) is None


@pytest.mark.parametrize("forwarded_since", [False, True])
def test_status_says_that_the_trail_ends_before_what_was_passed_on_until_it_is_verified(
    settings: Settings, forwarded_since: bool
) -> None:
    assert settings.path is not None
    settings.path.write_text('[audit]\nsyslog = "localhost:6514"\n')
    new_ledger(settings.data_dir).engine.dispose()
    at = Bookmark(2, 1, 3, cut_at="2026-03-04T05:06:07+00:00") if forwarded_since else Bookmark(9, 4000, 70)
    save_bookmark(bookmark_file(settings), at)

    before, syslog = status(settings)
    dibmg(settings, "verify")
    save_bookmark(bookmark_file(settings), Bookmark(2, 1, 3, cut_at="2026-03-04T05:06:07+00:00"))
    after, _ = status(settings)

    reason = "the audit trail ends before what was passed on"
    assert (reason in before, reason in after) == (True, False)
    assert syslog["waiting"] == (0 if forwarded_since else 3)


def test_status_tells_how_many_lines_wait_for_the_receiver_and_since_when(settings: Settings) -> None:
    assert settings.path is not None
    settings.path.write_text('[audit]\nsyslog = "localhost:6514"\n')
    new_ledger(settings.data_dir).engine.dispose()
    save_bookmark(bookmark_file(settings), Bookmark(0, 0, 1, "no answer"))

    told = json.loads(CliRunner().invoke(cli, ["status", "--json", "--config", str(settings.path)]).stdout)

    assert told["audit"]["lines"] == 3
    assert told["audit"]["syslog"] == {
        "to": "localhost:6514",
        "sent": 1,
        "waiting": 2,
        "oldest_waiting": "2026-03-04T05:06:07.000+00:00",
        "error": "no answer",
    }
    assert (
        "audit lines wait since 2026-03-04T05:06:07.000+00:00 for localhost:6514: no answer"
        in told["reasons"]
    )


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ((), [1, 2, 3]),
        (("--event", "110113"), [2]),
        (("--study", "1.2.3"), [3]),
        (("--study", "1.2.4"), []),
        (("--patient", "P123"), [3]),
        (("--patient", "P124"), []),
        (("--since", "2026-03-05"), [3]),
        (("--limit", "2"), [2, 3]),
    ],
)
def test_lines_are_shown_by_what_they_are_about(
    settings: Settings, options: tuple[str, ...], lines: list[int]
) -> None:
    told = json.loads(dibmg(settings, "show", *options, "--json").stdout)

    assert [line["seq"] for line in told] == lines


def test_a_table_tells_who_did_what(settings: Settings) -> None:
    told = dibmg(settings, "show").stdout

    assert "EVIL" in told
    assert "DICOM Instances Accessed" in told


@pytest.mark.parametrize("command", ["show", "verify"])
def test_a_trail_that_may_not_be_looked_at_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    (tmp_path / "config.toml").write_text("")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("dibmg_node.cli.audit.trail_files", refuse)
    monkeypatch.setattr("dibmg_node.cli.audit.check_trail", refuse)

    ended = dibmg(load_settings(tmp_path / "config.toml"), command)

    assert ended.exit_code == 1
    assert "cannot be looked at (Permission denied): run this as the node's user" in ended.output
