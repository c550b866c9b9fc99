"""The audit's key, and what `[audit]` may say."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from dibmg_node.config import Settings, load_settings
from dibmg_node.errors import ConfigError, PermanentError
from dibmg_node.machine.processes import alone
from dibmg_node.storage.trail_check import check_trail
from dibmg_node.wiring.auditing import audit_key, check_audit, forwarding, open_audit, trail_folder
from tests.factories import Clock

READ_KEY = """
import sys
from pathlib import Path
from dibmg_node.wiring.auditing import audit_key
from dibmg_node.config import load_settings
print(audit_key(load_settings(Path(sys.argv[1]))).decode())
"""


@pytest.fixture(autouse=True)
def no_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIBMG_AUDIT_KEY", raising=False)
    monkeypatch.delenv("DIBMG_AUDIT_KEY_FILE", raising=False)


def settings_of(folder: Path, text: str = "") -> Settings:
    path = folder / "config.toml"
    path.write_text(text)
    return load_settings(path)


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)

    first, second = audit_key(settings), audit_key(settings)

    assert first == second
    assert len(first) == 64
    assert (tmp_path / "var" / "audit.key").stat().st_mode & 0o777 == 0o600
    assert [one.name for one in (tmp_path / "var").iterdir()] == ["audit.key"]


def test_processes_that_start_at_once_have_one_key(tmp_path: Path) -> None:
    settings_of(tmp_path)
    command = [sys.executable, "-c", READ_KEY, str(tmp_path / "config.toml")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]

    keys = {one.communicate(timeout=60)[0] for one in started}

    assert len(keys) == 1
    assert len(keys.pop().strip()) == 64


def test_a_key_of_the_environment_or_of_its_file_goes_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from a file, long enough\n")
    monkeypatch.setenv("DIBMG_AUDIT_KEY_FILE", str(secret))
    from_file = audit_key(settings_of(tmp_path))
    monkeypatch.setenv("DIBMG_AUDIT_KEY", "from the environment")

    assert (from_file, audit_key(settings_of(tmp_path))) == (
        b"from a file, long enough",
        b"from the environment",
    )
    assert not (tmp_path / "var").exists()


def test_a_short_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIBMG_AUDIT_KEY", "short")

    with pytest.raises(ConfigError, match="DIBMG_AUDIT_KEY: expected at least 16 characters"):
        check_audit(settings_of(tmp_path))
    with pytest.raises(ConfigError, match="at least 16"):
        audit_key(settings_of(tmp_path))


def test_a_key_file_that_was_emptied_is_not_taken(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    audit_key(settings)
    (tmp_path / "var" / "audit.key").write_text("")

    with pytest.raises(ConfigError, match=r"audit\.key: expected at least 16"):
        open_audit(settings, "intake", Clock())


def test_a_process_enters_under_its_own_name(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)

    open_audit(settings, "intake", Clock()).started("intake")

    assert check_trail(trail_folder(settings)).lines == 1
    assert '"process": "intake@' in (trail_folder(settings) / "audit-000001.jsonl").read_text()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[audit]\nsyslog = "logs.example"', "audit.syslog: expected host:port, or"),
        ('[audit]\nsyslog = "logs.example:70000"', "audit.syslog: expected host:port, or"),
        ('[audit]\nca = "ca.pem"', "audit: ca, certificate and key are of no use without syslog"),
        ('[audit]\nsyslog = "a:1"\nkey = "k.pem"', "audit: key is of no use without certificate"),
    ],
)
def test_a_wrong_section_is_refused_with_its_key(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as found:
        settings_of(tmp_path, text)

    assert [one for one in found.value.complaints if one.startswith(complaint)]


@pytest.mark.parametrize("address", ["logs.example:6514", "10.0.0.1:1", "[2001:db8::1]:6514"])
def test_a_receiver_is_a_host_and_a_port(tmp_path: Path, address: str) -> None:
    assert settings_of(tmp_path, f'[audit]\nsyslog = "{address}"').audit.syslog == address


def test_a_certificate_file_that_is_not_there_is_told_before_the_node_comes_up(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, '[audit]\nsyslog = "a:1"\nca = "none.pem"')

    with pytest.raises(ConfigError, match="audit: a file of TLS cannot be used: No such file"):
        check_audit(settings)


def test_another_process_passes_the_trail_on_once_the_first_has_ended(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, '[audit]\nsyslog = "127.0.0.1:1"')
    settings.data_dir.mkdir()
    lock = settings.data_dir / "audit-syslog.lock"
    before = forwarders()
    first = ExitStack()
    first.enter_context(forwarding(settings, Clock()))
    wait_until(lambda: is_held(lock))

    with forwarding(settings, Clock()):
        first.close()
        wait_until(lambda: forwarders() == before + 1)
        wait_until(lambda: is_held(lock))

    wait_until(lambda: not is_held(lock))


def forwarders() -> int:
    return sum(one.name == "syslog" for one in threading.enumerate())


def is_held(lock: Path) -> bool:
    """Whether some process or thread has a lock file."""
    try:
        with alone(lock, "held"):
            return False
    except PermanentError:
        return True


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
