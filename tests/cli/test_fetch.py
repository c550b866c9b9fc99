"""`dibmg fetch` before it asks anybody: what is wrong is said, with the exit code of its kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pacs import free_port

from dibmg_node.cli.main import cli, main
from dibmg_node.errors import PermanentError
from dibmg_node.machine.processes import alone
from tests.factories import new_ledger

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""pynetdicom leaves the socket of a failed connection to the garbage collector."""

CONFIGURATION = """\
[[destination]]
name = "pacs"
address = "127.0.0.1"
port = {port}
ae_title = "ANY"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings of a node that has been up, with a destination where nobody listens."""
    (tmp_path / "var").mkdir()
    new_ledger(tmp_path / "var").engine.dispose()
    path = tmp_path / "config.toml"
    path.write_text(CONFIGURATION.format(port=free_port()))
    return path


def fetch(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["fetch", *arguments, "--config", str(config)])


def test_two_fetches_into_one_data_folder_are_not_made_at_once(config: Path) -> None:
    with alone(config.parent / "var" / "fetch.lock", "held"):
        ended = fetch(config, "1.2.3", "--from", "pacs")

    assert isinstance(ended.exception, PermanentError)
    assert str(ended.exception) == "another fetch into this data folder is running"


def test_a_lock_is_free_again_after_its_holder(tmp_path: Path) -> None:
    for _ in range(2):
        with alone(tmp_path / "lock", "held"):
            pass


def test_a_node_that_was_never_up_has_nowhere_to_put_a_study(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(CONFIGURATION.format(port=free_port()))

    ended = fetch(path, "1.2.3", "--from", "pacs")

    assert isinstance(ended.exception, PermanentError)
    assert "this node was never up" in str(ended.exception)


def test_an_error_ends_in_one_line_and_exit_code_1(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["dibmg", "fetch", "1.2.3", "--from", "pacs", "--config", str(config)]
    monkeypatch.setattr("sys.argv", command)

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 1
    assert "no association" in capsys.readouterr().err.splitlines()[-1]
