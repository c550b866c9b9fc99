"""Documents that cannot lie: every command and every key stands in README, docs and config.toml."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
from pydantic import BaseModel

from dibmg.data.columns import columns_table
from dibmg.training.plan import Augmentation, TrainingPlan, plan_of
from dibmg.weights import load_weights
from dibmg_node.cli.commands import Listed
from dibmg_node.cli.main import cli
from dibmg_node.config import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
CONFIG = (ROOT / "config.toml").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "deploy").glob("*.md"))]
DOCUMENTS = "\n".join(page.read_text() for page in PAGES)
TRAINING = (ROOT / "docs" / "train-on-your-own-data.md").read_text()


def _subcommands(group: click.Group) -> dict[str, click.Command]:
    return {name: one.load() if isinstance(one, Listed) else one for name, one in group.commands.items()}


def _commands(group: click.Group, prefix: str) -> list[str]:
    names = []
    for name, command in _subcommands(group).items():
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


def _anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _broken_links(page: Path) -> Iterator[str]:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            yield f"{page.relative_to(ROOT)}: {link}"


def test_every_command_is_documented() -> None:
    missing = [name for name in _commands(cli, "dibmg") if f"`{name}" not in DOCUMENTS]

    assert missing == []


def test_every_command_has_help_with_an_example() -> None:
    def epilogs(group: click.Group) -> list[tuple[str, str]]:
        told = []
        for name, command in _subcommands(group).items():
            if isinstance(command, click.Group):
                told += epilogs(command)
            elif not command.hidden:
                told.append((name, command.epilog or ""))
        return told

    assert [name for name, epilog in epilogs(cli) if "Example: dibmg" not in epilog] == []


def test_every_key_is_documented() -> None:
    assert [key for key in _keys() if f"`{key}`" not in DOCUMENTS] == []


def test_every_link_between_documents_resolves() -> None:
    pages = [*PAGES, ROOT / "CONFORMANCE.md", ROOT / "CHANGELOG.md", *(ROOT / "benchmarks").glob("*.md")]

    assert [link for page in pages for link in _broken_links(page)] == []


def test_every_page_is_reached_from_the_readme() -> None:
    lost = [page.name for page in PAGES[1:] if f"({page.relative_to(ROOT)})" not in README]

    assert lost == []


def test_every_extra_is_on_the_page_of_installation() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

    page = (ROOT / "docs" / "install.md").read_text()
    assert [name for name in extras if f"`dibmg-node[{name}]`" not in page] == []


def test_every_configuration_in_the_documents_is_valid() -> None:
    settings = 0
    for page in PAGES:
        for block in re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL):
            told = tomllib.loads(block)
            if set(told) <= set(Settings.model_fields):
                Settings.model_validate(told)
                settings += 1

    assert settings >= 8


def test_no_figure_is_left_to_be_filled_in() -> None:
    documents = [DOCUMENTS, *(path.read_text() for path in (ROOT / "model").rglob("*.md"))]

    assert [re.findall(r"\b[A-Z]+_(?:FIGURES|WORDS)\b", text) for text in documents] == [[]] * len(documents)


def test_the_shipped_configuration_is_the_default() -> None:
    assert Settings.model_validate(tomllib.loads(CONFIG)) == Settings()


def test_the_page_on_training_has_the_columns_of_a_manifest_as_they_are() -> None:
    assert columns_table().strip() in TRAINING


def test_the_plan_on_the_page_fits_the_weights_that_it_starts_from() -> None:
    plan = plan_of(tomllib.loads(TRAINING.split("```toml\n")[1].split("```")[0]))
    initial = TRAINING.split("--initial ")[1].split()[0]

    assert plan.architecture == load_weights(initial).architecture
    assert plan.input_size == load_weights(initial).input_size


def test_every_key_of_a_training_is_documented() -> None:
    keys = {field.name for kind in (TrainingPlan, Augmentation) for field in dataclasses.fields(kind)}

    training = TRAINING[: TRAINING.index("## Manifest of images")]
    missing = {key for key in keys if f"`{key}`" not in training and f"\n{key} = " not in training}

    assert missing == set()
