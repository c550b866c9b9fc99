"""Completion in a real bash, as Tab does it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import dibmg

_TAB = """\
source completion.bash
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
"$(complete -p dibmg | sed 's/.*-F \\([^ ]*\\) .*/\\1/')" dibmg
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a configuration that has two destinations."""
    (tmp_path / "config.toml").write_text(
        "".join(
            f"[[destination]]\nname = '{name}'\naddress = '127.0.0.1'\nport = 104\nae_title = 'ANY'\n"
            for name in ("pacs", "lab")
        )
    )
    return tmp_path


@pytest.mark.parametrize(
    ("line", "goes_on"),
    [("dibmg config s", ["show"]), ("dibmg fetch 1.2.3 --from ", ["pacs", "lab"])],
)
def test_tab_completes_in_a_real_bash(folder: Path, line: str, goes_on: list[str]) -> None:
    program = folder / "dibmg"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dibmg_node "$@"\n')
    program.chmod(0o700)

    (folder / "completion.bash").write_text(dibmg(folder, "completion", "bash").stdout)
    tab = ["bash", "-c", f"PATH={folder}:$PATH\n{_TAB}", "bash", *line.split(" ")]
    answer = subprocess.run(tab, cwd=folder, capture_output=True, text=True, timeout=120, check=False)

    assert (answer.stdout.split(), answer.stderr) == (goes_on, "")


@pytest.mark.parametrize(
    ("line", "goes_on"),
    [
        ("dibmg re", ["replay", "resume", "retry"]),
        ("dibmg studies --mi", ["--min-score"]),
        ("dibmg studies --state RE", ["RECEIVING", "READY"]),
        ("dibmg echo pa", ["pacs"]),
    ],
)
def test_commands_options_states_and_destinations_are_completed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, line: str, goes_on: list[str]
) -> None:
    asked_by_bash(monkeypatch, line)

    answer = dibmg(folder)

    assert (answer.stdout.split(), answer.stderr) == ([f"plain,{word}" for word in goes_on], "")


def asked_by_bash(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """What the script of bash asks the program by when Tab is pressed at the end of a line."""
    monkeypatch.setenv("_DIBMG_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))


def test_a_configuration_that_is_none_completes_nothing_and_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text("nothing")
    asked_by_bash(monkeypatch, "dibmg echo ")

    answer = dibmg(tmp_path)

    assert (answer.stdout.strip(), answer.stderr) == ("", "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_theirs(tmp_path: Path, shell: str) -> None:
    answer = dibmg(tmp_path, "completion", shell)

    assert answer.returncode == 0
    assert f"_DIBMG_COMPLETE={shell}_complete" in answer.stdout
