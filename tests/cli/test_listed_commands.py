"""The list of commands, which stands for commands that are not imported yet."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import click
import pytest

import dibmg_node.cli
from dibmg_node.cli.commands import COMMANDS, Listed


@pytest.mark.parametrize("listed", COMMANDS, ids=lambda one: one.name)
def test_a_listed_command_is_the_command_itself(listed: Listed) -> None:
    command = listed.load()

    said = [(one.name, one.get_short_help_str(1000), one.hidden) for one in (listed, command)]
    assert said[0] == said[1]


def test_no_command_is_missing_from_the_list() -> None:
    modules = [
        import_module(f"dibmg_node.cli.{one.name}")
        for one in pkgutil.iter_modules(dibmg_node.cli.__path__)
        if one.name != "main"
    ]

    found = [
        one
        for module in modules
        for one in vars(module).values()
        if isinstance(one, click.Command) and one.callback is not None
    ]

    inner = {id(one) for group in found if isinstance(group, click.Group) for one in group.commands.values()}
    assert {one.name for one in found if id(one) not in inner} == {one.name for one in COMMANDS}
