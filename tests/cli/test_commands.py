"""Commands without a node: how they end, and what they say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from shutil import copytree

import pytest
from click.testing import CliRunner

from dibmg.operating_points import ChosenFor
from dibmg.weights import load_weights, resolve
from dibmg_node.cli.main import cli
from dibmg_node.domain.result import Scores
from dibmg_node.domain.study import Verdict
from dibmg_node.storage.analysis_rows import Analysis, Outcome
from dibmg_node.storage.receipts import Patience, Received
from tests.cli.program import dibmg, dibmg_process
from tests.factories import R_CC, START, STUDY_UID, instance, new_ledger, used
from tests.model.factories_points import points_for, write_points


def test_status_without_a_node_is_down_with_exit_code_2(tmp_path: Path) -> None:
    ended = dibmg_process(tmp_path, "status", "--json")

    assert ended.returncode == 2
    assert json.loads(ended.stdout)["health"] == "down"


def test_a_bad_configuration_tells_every_complaint_and_ends_with_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[intake]\nport = 0\nprot = 1\n[broker]\nurl = 'amqp://x'\n")

    ended = dibmg_process(tmp_path, "config", "check")

    assert ended.returncode == 2
    told = ended.stderr.splitlines()
    assert [line.partition(":")[0] for line in told] == ["intake.port", "intake.prot", "broker.url"]


def test_exposure_and_model_are_complained_of_together_with_keys_that_are_not_valid(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        "[intake]\nport = 0\nprot = 1\naddress = '0.0.0.0'\n[model]\nweights = 'nowhere'\n"
    )

    ended = dibmg(tmp_path, "config", "check")

    assert ended.returncode == 2
    told = [line.partition(":")[0] for line in ended.stderr.splitlines()]
    assert told == ["intake.port", "intake.prot", "intake.address", "model.weights"]


@pytest.mark.parametrize("key", ["address = 'nowhere'", "insecure = 'yes'", "tls = { ca = 1 }"])
def test_nobody_is_told_to_protect_what_cannot_be_understood(tmp_path: Path, key: str) -> None:
    exposed = "address = '0.0.0.0'\n" if "address" not in key else ""
    (tmp_path / "config.toml").write_text(f"[intake]\n{exposed}{key}\n")

    ended = dibmg(tmp_path, "config", "check")

    assert "is reached from other machines" not in ended.stderr
    assert ended.returncode == 2


def test_up_refuses_weights_that_are_not_there_before_it_listens(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[model]\nweights = 'nowhere'\n")

    ended = dibmg_process(tmp_path, "up")

    assert ended.returncode == 2
    assert "model.weights" in ended.stderr
    assert "nowhere" in ended.stderr


def test_weights_verify_looks_at_the_network_too(tmp_path: Path) -> None:
    copytree(resolve("synthetic"), tmp_path / "set")
    manifest = tmp_path / "set" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"input_size": 512', '"input_size": 1024'))

    ended = dibmg_process(tmp_path, "weights", "verify", "./set")

    assert ended.returncode == 2
    assert "input of the network is (512, 512, 1), expected (1024, 1024, 1)" in ended.stderr


def test_up_tells_which_address_it_cannot_listen_on(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[intake]\naddress = '203.0.113.7'\ninsecure = true\n")

    ended = dibmg_process(tmp_path, "up")

    assert ended.returncode == 1
    assert "203.0.113.7:11112" in ended.stderr


@pytest.mark.parametrize(
    "command", [("study", "1.2.3"), ("studies",), ("explain", "1.2.3"), ("retry", "1.2.3")]
)
def test_commands_on_a_ledger_that_was_never_made_say_so(tmp_path: Path, command: tuple[str, ...]) -> None:
    ended = dibmg(tmp_path, *command)

    assert ended.returncode == 1
    assert "this node was never up" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_echo_without_destinations_says_so(tmp_path: Path) -> None:
    ended = dibmg_process(tmp_path, "echo")

    assert (ended.returncode, ended.stdout.strip()) == (0, "no destination is configured")


@pytest.mark.parametrize("command", [("echo", "pacs"), ("fetch", "1.2.3", "--from", "pacs")])
def test_a_destination_that_is_not_configured_ends_with_exit_code_2(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    ended = dibmg(tmp_path, *command)

    assert ended.returncode == 2
    assert "no destination 'pacs' in the configuration, known are: none" in ended.stderr


def test_what_senders_and_reasons_say_is_never_read_as_markup(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    folder = tmp_path / "var"
    folder.mkdir()
    odd = instance(R_CC, modality="[/X]")
    patience = Patience(timedelta(seconds=0.001), timedelta(seconds=0.001))
    ledger.receipts.store(Received(odd, 1, 1, "[/MG]"), patience, START)
    ledger.receipts.complete_due(START + timedelta(seconds=1))
    held = ledger.claims.claim(STUDY_UID, 1, "worker", START, timedelta(seconds=20))
    sentence = "modality is [/X], expected MG"
    verdict = Verdict(odd.sop_uid, False, "NOT_MAMMOGRAPHY", sentence)
    ledger.claims.commit(held, Analysis(Outcome.EXCLUDED, sentence, [verdict], {}), START)
    ledger.engine.dispose()
    for path in tmp_path.glob("ledger.sqlite*"):
        path.rename(folder / path.name)

    told = [
        dibmg(tmp_path, *command) for command in (("studies",), ("explain", STUDY_UID), ("study", STUDY_UID))
    ]

    assert [ended.returncode for ended in told] == [0, 0, 0]
    assert all("[/X]" in ended.stdout and "[/MG]" in ended.stdout for ended in told)


def test_a_certificate_of_the_broker_that_is_not_here_is_a_complaint_of_config_check(tmp_path: Path) -> None:
    broker = '[broker]\nurl = "rediss://broker:6380/0"\n[broker.tls]\nca = "redis-ca.crt"\n'
    (tmp_path / "config.toml").write_text(broker)

    ended = dibmg(tmp_path, "config", "check")

    assert ended.returncode == 2
    assert "broker.tls: a file cannot be used: No such file or directory" in ended.stderr


def test_a_user_who_may_not_look_at_the_data_folder_is_told_so_by_exit_code_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text("")
    exists = Path.exists

    def refuse(path: Path) -> bool:
        if path.name == "ledger.sqlite":
            raise PermissionError(13, "Permission denied")
        return exists(path)

    monkeypatch.setattr(Path, "exists", refuse)

    ended = CliRunner().invoke(cli, ["status", "--config", str(tmp_path / "config.toml")])

    assert ended.exit_code == 3
    assert "Permission denied" in ended.output
    assert "run this as the node's user" in ended.output.replace("\n", " ")


def test_a_file_of_users_that_is_not_there_is_told_by_config_check_and_keeps_no_node_from_coming_up(
    tmp_path: Path,
) -> None:
    (tmp_path / "config.toml").write_text("[web]\nusers = 'nowhere.json'\n")

    ended = dibmg(tmp_path, "config", "check")

    assert (ended.returncode, ended.stderr.partition(":")[0]) == (0, "web.users")
    assert str(tmp_path / "nowhere.json") in ended.stderr


def test_a_model_that_is_not_here_is_a_complaint_of_config_check(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[model]\noperating_point = 'high'\n")

    ended = dibmg(tmp_path, "config", "check")

    assert (ended.returncode, ended.stderr.partition(":")[0]) == (2, "model.operating_point")


def test_operating_points_of_other_weights_are_a_complaint_of_config_check_and_of_up(tmp_path: Path) -> None:
    write_points(tmp_path, load_weights("default"), weights=ChosenFor("other", "7", "a" * 64))
    (tmp_path / "config.toml").write_text("[model]\noperating_point = 'operating-points.json'\n")

    for ended in (dibmg(tmp_path, "config", "check"), dibmg_process(tmp_path, "up")):
        assert (ended.returncode, ended.stderr.partition(":")[0]) == (2, "model.operating_point")
        assert f"is {'a' * 64}, expected" in ended.stderr


def test_status_names_the_version_of_the_operating_points_in_use(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    new_ledger(tmp_path / "var").engine.dispose()
    weights = load_weights("default")
    write_points(tmp_path, weights)
    (tmp_path / "config.toml").write_text("[model]\noperating_point = 'operating-points.json'\n")

    ended = dibmg(tmp_path, "status", "--json")

    version = points_for(weights).version
    told = json.loads(ended.stdout)["model"]["operating_point"]
    assert (told["name"], told["version"]) == ("specificity-0.90", version)
    assert f"operating point specificity-0.90, version {version}" in dibmg(tmp_path, "status").stdout


def test_status_says_of_each_destination_how_it_is_reached_and_whether_that_is_insecure(
    tmp_path: Path,
) -> None:
    (tmp_path / "var").mkdir()
    new_ledger(tmp_path / "var").engine.dispose()
    (tmp_path / "config.toml").write_text(
        "[[destination]]\nname = 'pacs'\naddress = '127.0.0.1'\nport = 104\nae_title = 'PACS'\n"
        "[[destination]]\nname = 'lab'\nkind = 'stow'\nurl = 'http://10.1.2.3'\ninsecure = true\n"
        "username = 'dibmg'\npassword_env = 'DIBMG_LAB'\n"
    )

    told = dibmg(tmp_path, "status").stdout

    assert "to        pacs: cstore, owed 0" in told
    assert "to        lab: stow (insecure), owed 0" in told


def test_config_show_names_the_variables_of_secrets_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIBMG_LAB", "geheim")
    (tmp_path / "config.toml").write_text(
        "[[destination]]\nname = 'lab'\nkind = 'stow'\nurl = 'https://lab'\ntoken_env = 'DIBMG_LAB'\n"
    )

    told = dibmg(tmp_path, "config", "show").stdout + dibmg(tmp_path, "config", "show", "--json").stdout

    assert "destination[0].token_env = DIBMG_LAB" in told
    assert "geheim" not in told


def test_study_tells_the_probability_with_the_population_that_it_rests_on(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    ledger = new_ledger(tmp_path / "var")
    patience = Patience(timedelta(seconds=0.001), timedelta(seconds=0.001))
    ledger.receipts.store(Received(instance(R_CC), 1, 1, "MG"), patience, START)
    ledger.receipts.complete_due(START + timedelta(seconds=1))
    held = ledger.claims.claim(STUDY_UID, 1, "worker", START, timedelta(seconds=20))
    reading = {
        "model": {"name": "test", "version": "1", "runtime": "openvino", "precision": "f32"},
        "operating_point": {
            "name": "specificity-0.90",
            "label": "specificity-0.90 for Maker [/X]",
            "threshold": 0.625,
            "calibration": {"population": "1000 screening exams"},
        },
        "scores": {"exam": 0.7, "probability": 0.25},
        "findings": [],
    }
    found = Analysis(Outcome.ANALYZED, "", [used(instance(R_CC))], reading, Scores(0.7, {}, {}))
    ledger.claims.commit(held, found, START)
    ledger.engine.dispose()

    told = dibmg(tmp_path, "study", STUDY_UID).stdout

    assert "probability of cancer 25.0 %, by calibration on 1000 screening exams" in told
    assert "operating point specificity-0.90 for Maker [/X] at 0.625" in told


def test_the_program_has_no_threads_that_spin_between_two_products_of_matrices() -> None:
    code = (
        "import os\n"
        "from contextlib import suppress\n"
        "from dibmg_node.cli.main import main\n"
        "with suppress(SystemExit):\n"
        "    main(['--version'])\n"
        "import numpy as np\n"
        "square = np.ones((512, 512), np.float32)\n"
        "square @ square\n"
        "print(len(os.listdir('/proc/self/task')), os.environ['OPENBLAS_NUM_THREADS'])\n"
    )
    clean = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}

    found = subprocess.run(
        [sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True
    )

    assert found.stdout.splitlines()[-1] == "1 1"


@pytest.mark.parametrize(("command", "code"), [("status", 3), ("studies", 1)])
def test_an_answer_that_cannot_be_written_is_no_answer(tmp_path: Path, command: str, code: int) -> None:
    (tmp_path / "config.toml").write_text("")
    (tmp_path / "var").mkdir()
    new_ledger(tmp_path / "var").engine.dispose()
    line = [sys.executable, "-m", "dibmg_node", command, "--json"]

    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            line, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )

    assert (ended.returncode, ended.stderr) == (code, "dibmg: No space left on device\n")


def test_where_nobody_takes_the_output_a_command_ends_as_it_would(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")

    ended = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m dibmg_node status >&-"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (2, "")
