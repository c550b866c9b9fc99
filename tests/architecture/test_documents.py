"""Documents that cannot lie: every command and every key stands in README and config.toml."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import click
from pydantic import BaseModel

from dibmg.data.columns import columns_table
from dibmg.training.plan import Augmentation, TrainingPlan, plan_of
from dibmg.weights import load_weights
from dibmg_node.cli.main import cli
from dibmg_node.config import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
CONFIG = (ROOT / "config.toml").read_text()


def _commands(group: click.Group, prefix: str) -> list[str]:
    names = []
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            names += _commands(command, f"{prefix} {name}")
        elif not command.hidden:
            names.append(f"{prefix} {name}")
    return names


def _keys(model: type[BaseModel] = Settings, path: str = "") -> list[str]:
    keys = []
    for name, field in model.model_fields.items():
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
        sections = [one for one in kinds if isinstance(one, type) and issubclass(one, BaseModel)]
        keys += _keys(sections[0], f"{path}{name}.") if sections else [path + name]
    return keys


def test_every_command_is_in_the_readme_and_has_an_example() -> None:
    missing = [name for name in _commands(cli, "dibmg") if f"`{name}" not in README]

    assert missing == []


def test_every_command_has_help_with_an_example() -> None:
    def epilogs(group: click.Group) -> list[tuple[str, str]]:
        told = []
        for name, command in group.commands.items():
            if isinstance(command, click.Group):
                told += epilogs(command)
            elif not command.hidden:
                told.append((name, command.epilog or ""))
        return told

    assert [name for name, epilog in epilogs(cli) if "Example: dibmg" not in epilog] == []


def test_every_key_is_in_the_readme() -> None:
    assert [key for key in _keys() if f"`{key}`" not in README] == []


def test_no_figure_is_left_to_be_filled_in() -> None:
    documents = [README, *(path.read_text() for path in (ROOT / "model").rglob("*.md"))]

    assert [re.findall(r"\b[A-Z]+_(?:FIGURES|WORDS)\b", text) for text in documents] == [[]] * len(documents)


def test_the_shipped_configuration_is_the_default() -> None:
    assert Settings.model_validate(tomllib.loads(CONFIG)) == Settings()


def test_the_readme_has_the_columns_of_a_manifest_as_they_are() -> None:
    assert columns_table().strip() in README


def test_the_plan_in_the_readme_fits_the_weights_that_it_starts_from() -> None:
    training = README[README.index("## Train on your own data") :]
    plan = plan_of(tomllib.loads(training.split("```toml\n")[1].split("```")[0]))
    initial = training.split("--initial ")[1].split()[0]

    assert plan.architecture == load_weights(initial).architecture
    assert plan.input_size == load_weights(initial).input_size


def test_every_key_of_a_training_is_in_the_readme() -> None:
    keys = {field.name for kind in (TrainingPlan, Augmentation) for field in dataclasses.fields(kind)}

    training = README[README.index("## Train on your own data") : README.index("### Manifest of images")]
    missing = {key for key in keys if f"`{key}`" not in training and f"\n{key} = " not in training}

    assert missing == set()
