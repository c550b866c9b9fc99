"""The doctor as a command, on a node that was never up, with faults that were planted."""

from __future__ import annotations

import json
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pacs import free_port

from dibmg_node.cli.main import cli
from dibmg_node.config import Settings, load_settings
from dibmg_node.doctor import listening, permissions
from dibmg_node.doctor.clock import judge_history, judge_peer
from dibmg_node.doctor.examination import GROUPS
from dibmg_node.doctor.listening import judge_port
from dibmg_node.doctor.verdict import Level
from dibmg_node.sections.intake import IntakeSection, NodeSection
from tests.certificates import Authority
from tests.factories import START, new_ledger
from tests.services.web_peers import Asked, Told, WebPeer


def run(folder: Path, text: str = "", *options: str) -> Result:
    config = folder / "config.toml"
    config.write_text(f"[intake]\nport = {free_port()}\nreserve_gb = 0.01\n{text}")
    config.chmod(0o600)
    return CliRunner().invoke(cli, ["doctor", "--config", str(config), *options])


def verdicts(folder: Path, text: str = "") -> dict[str, dict[str, Any]]:
    """What is said, by check."""
    return {one["check"]: one for one in json.loads(run(folder, text, "--json").stdout)["checks"]}


def tls_of(folder: Path) -> str:
    return f'[intake.tls]\ncertificate = "{folder}/node.crt"\nkey = "{folder}/node.key"\n'


def test_every_verdict_that_is_not_well_has_a_remedy(tmp_path: Path) -> None:
    found = verdicts(tmp_path)

    assert len(found) > len(GROUPS)
    assert [name for name, one in found.items() if one["level"] != "ok" and not one["remedy"]] == []
    assert [name for name, one in found.items() if one["level"] == "error"] == []


def test_a_file_of_users_that_is_named_and_not_there_is_a_warning(tmp_path: Path) -> None:
    text = "[web]\nport = 1\nusers = 'nowhere.json'\n"

    missing = verdicts(tmp_path, text)["users of the dashboard"]

    assert (missing["level"], str(tmp_path / "nowhere.json") in missing["found"]) == ("warning", True)


def test_a_file_of_users_that_is_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "users.json").write_text('{"users": {}}')

    assert "users of the dashboard" not in verdicts(tmp_path, "[web]\nport = 1\nusers = 'users.json'\n")


def test_the_exit_code_is_that_of_the_worst_verdict(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir(mode=0o700)
    warned = run(tmp_path)
    (tmp_path / "var").chmod(0o777)

    broken = run(tmp_path)

    assert (warned.exit_code, broken.exit_code) == (1, 2)


def test_a_data_folder_that_everybody_may_change_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var").chmod(0o777)

    verdict = verdicts(tmp_path)["data folder"]

    assert verdict["level"] == "error"
    assert verdict["remedy"] == f"chmod 700 {tmp_path / 'var'}"


def test_a_secret_that_others_may_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-of-some-length")
    token.chmod(0o644)
    monkeypatch.setenv("DIBMG_STOW_TOKEN_FILE", str(token))

    open_to_all = verdicts(tmp_path)["DIBMG_STOW_TOKEN_FILE file"]["level"]
    token.chmod(0o600)

    assert (open_to_all, verdicts(tmp_path)["DIBMG_STOW_TOKEN_FILE file"]["level"]) == ("error", "ok")


ELSEWHERE = (
    "[[alarm_channel]]\nname = 'ops'\nkind = 'webhook'\nurl_env = 'HOOK_URL'\ntoken_env = 'HOOK_TOKEN'\n"
    "[[alarm_channel]]\nname = 'mail'\nkind = 'email'\nhost = 'localhost'\nusername = 'node'\n"
    "password_env = 'MAIL_PASSWORD'\nfrom_address = 'dibmg@clinic.example'\nto = ['pacs@clinic.example']\n"
    "[telemetry]\nendpoint = 'http://127.0.0.1:9'\ntoken_env = 'TRACES_TOKEN'\n"
)


@pytest.mark.parametrize(
    "variable",
    ["DIBMG_ARCHIVE_KEY", "DIBMG_ARCHIVE_SECRET", "HOOK_URL", "HOOK_TOKEN", "MAIL_PASSWORD", "TRACES_TOKEN"],
)
def test_the_file_of_every_secret_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a-secret")
    secret.chmod(0o644)
    monkeypatch.setenv(f"{variable}_FILE", str(secret))
    (tmp_path / "config.toml").write_text(ELSEWHERE)

    found = {one.check: one.level for one in permissions.examine(load_settings(tmp_path / "config.toml"))}

    assert found[f"{variable}_FILE file"] is Level.ERROR


def test_a_port_of_a_role_that_another_host_has_is_not_looked_at(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = Settings(
            node=NodeSection(data_dir=tmp_path, roles=["analysis"]),
            intake=IntakeSection(port=other.getsockname()[1]),
        )

        found = list(listening.examine(settings))

    assert found == []


def test_a_certificate_that_has_expired_is_an_error(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    authority.issue("node", days=-1)

    verdict = verdicts(tmp_path, tls_of(tmp_path / "tls"))["intake.tls.certificate"]

    assert verdict["level"] == "error"
    assert "expired on" in verdict["found"]


def test_one_that_expires_soon_is_a_warning(tmp_path: Path) -> None:
    Authority(tmp_path / "tls").issue("node", days=20)

    assert verdicts(tmp_path, tls_of(tmp_path / "tls"))["intake.tls.certificate"]["level"] == "warning"


def test_the_key_of_another_certificate_is_an_error(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    authority.issue("node")
    _, key = authority.issue("other")
    key.rename(tmp_path / "tls" / "node.key")

    verdict = verdicts(tmp_path, tls_of(tmp_path / "tls"))["intake.tls.key"]

    assert (verdict["level"], verdict["found"]) == ("error", "the key is that of another certificate")


def test_a_key_that_others_may_read_is_an_error_and_one_of_its_own_is_not(tmp_path: Path) -> None:
    _, key = Authority(tmp_path / "tls").issue("node")
    key.chmod(0o644)
    before = verdicts(tmp_path, tls_of(tmp_path / "tls"))["intake.tls.key file"]
    key.chmod(0o600)

    after = verdicts(tmp_path, tls_of(tmp_path / "tls"))["intake.tls.key file"]

    assert (before["level"], before["remedy"]) == ("error", f"chmod 600 {key}")
    assert after["level"] == "ok"


def test_a_port_that_another_program_holds_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        foreign = judge_port("intake", "127.0.0.1", port, holder=None)
        own = judge_port("intake", "127.0.0.1", port, holder=77)

    assert (foreign.level, own.level) == (Level.ERROR, Level.OK)
    assert "ss -ltnp" in foreign.remedy


def test_a_port_that_nobody_listens_on_although_the_process_runs_is_an_error() -> None:
    assert judge_port("intake", "127.0.0.1", free_port(), holder=77).level is Level.ERROR


def test_an_address_of_another_machine_is_an_error() -> None:
    verdict = judge_port("intake", "192.0.2.77", free_port(), holder=None)

    assert verdict.level is Level.ERROR
    assert "no such address" in verdict.found


# pynetdicom leaves the socket of a connection that was refused to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_destination_that_is_down_is_a_warning_that_names_it(tmp_path: Path) -> None:
    text = (
        '[[destination]]\nname = "pacs"\nkind = "cstore"\naddress = "127.0.0.1"\n'
        f'port = {free_port()}\nae_title = "PACS"\n'
    )

    verdict = verdicts(tmp_path, text)["destination pacs"]

    assert verdict["level"] == "warning"
    assert "PACS at 127.0.0.1" in verdict["found"]


def test_a_destination_of_kind_stow_tells_its_time_and_whether_it_lets_the_node_in(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Told:
        return Told(401)

    with WebPeer(answer).running() as peer:
        found = verdicts(tmp_path, f'[[destination]]\nname = "vna"\nkind = "stow"\nurl = "{peer.url}"\n')

    assert found["destination vna"]["level"] == "error"
    assert found["clock of vna"]["level"] == "ok"


def test_a_clock_behind_the_last_image_is_an_error() -> None:
    behind = judge_history(START - timedelta(minutes=1), newest=START)
    ahead = judge_history(START + timedelta(minutes=1), newest=START)

    assert (behind.level, ahead.level) == (Level.ERROR, Level.OK)


@pytest.mark.parametrize(
    ("seconds", "level"),
    [(0, Level.OK), (-4, Level.OK), (30, Level.WARNING), (-30, Level.WARNING), (3600, Level.ERROR)],
)
def test_the_time_is_held_against_that_of_a_peer(seconds: int, level: Level) -> None:
    assert judge_peer("vna", START + timedelta(seconds=seconds), START).level is level


def test_weights_that_are_not_what_their_manifest_says_are_an_error(tmp_path: Path) -> None:
    text = '[model]\nweights = "no-such-set"\n'

    assert verdicts(tmp_path, text)["weights"]["level"] == "error"


def test_a_process_of_the_node_can_be_cut_off_here(tmp_path: Path) -> None:
    assert verdicts(tmp_path)["system call filter"]["level"] == "ok"


def test_a_ledger_that_cannot_be_written_is_an_error_with_sqlites_word_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "var").mkdir(mode=0o700)
    new_ledger(tmp_path / "var").engine.dispose()
    where = f"sqlite:///file:{tmp_path / 'var' / 'ledger.sqlite'}?mode=ro&uri=true"
    monkeypatch.setattr(Settings, "ledger_url", where)  # root may write whatever its mode says

    found = verdicts(tmp_path)["ledger"]

    assert (found["level"], "SQLITE_READONLY" in found["found"]) == ("error", True)
    assert "ledger.sqlite*" in found["remedy"]


def test_a_ledger_that_cannot_be_read_keeps_no_other_check_from_being_made(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir(mode=0o700)
    (tmp_path / "var" / "ledger.sqlite").write_bytes(b"no database" * 1000)

    found = verdicts(tmp_path)

    assert found["ledger"]["level"] == "error"
    assert {"disk space", "weights", "port of intake", "broker"} <= found.keys()
