"""Completion in a real bash, as Tab does it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_commands import dibmg

_TAB = """\
source <(dibmg completion bash)
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
"$(complete -p dibmg | sed 's/.*-F \\([^ ]*\\) .*/\\1/')" dibmg
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("line", "goes_on"),
    [
        ("dibmg re", ["replay", "resume", "retry"]),
        ("dibmg config s", ["show"]),
        ("dibmg studies --mi", ["--min-score"]),
        ("dibmg studies --state RE", ["RECEIVING", "READY"]),
        ("dibmg echo pa", ["pacs"]),
        ("dibmg fetch 1.2.3 --from ", ["pacs", "lab"]),
    ],
)
def test_tab_completes_commands_options_states_and_destinations(
    tmp_path: Path, line: str, goes_on: list[str]
) -> None:
    program = tmp_path / "dibmg"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dibmg_node "$@"\n')
    program.chmod(0o700)
    (tmp_path / "config.toml").write_text(
        "".join(
            f"[[destination]]\nname = '{name}'\naddress = '127.0.0.1'\nport = 104\nae_title = 'ANY'\n"
            for name in ("pacs", "lab")
        )
    )

    tab = ["bash", "-c", f"PATH={tmp_path}:$PATH\n{_TAB}", "bash", *line.split(" ")]
    answer = subprocess.run(tab, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)

    assert (answer.stdout.split(), answer.stderr) == (goes_on, "")


def test_a_configuration_that_is_none_completes_nothing_and_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text("nothing")
    monkeypatch.setenv("_DIBMG_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "dibmg echo ")
    monkeypatch.setenv("COMP_CWORD", "2")

    answer = dibmg(tmp_path)

    assert (answer.stdout.strip(), answer.stderr) == ("", "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_theirs(tmp_path: Path, shell: str) -> None:
    answer = dibmg(tmp_path, "completion", shell)

    assert answer.returncode == 0
    assert f"_DIBMG_COMPLETE={shell}_complete" in answer.stdout
