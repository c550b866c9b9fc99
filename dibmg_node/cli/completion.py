"""`dibmg completion`: what a shell needs to complete commands, options and names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from dibmg_node.config import load_settings
from dibmg_node.errors import ConfigError

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


@click.command(
    epilog="Example: dibmg completion bash > ~/.local/share/bash-completion/completions/dibmg. For zsh: "
    'eval "$(dibmg completion zsh)" in ~/.zshrc; for fish: '
    "dibmg completion fish > ~/.config/fish/completions/dibmg.fish."
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what has a shell complete `dibmg` and its options with Tab."""
    kind = get_completion_class(shell)
    assert kind is not None
    root = context.find_root()
    click.echo(kind(root.command, {}, "dibmg", "_DIBMG_COMPLETE").source())


def destination_names(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """Names of the destinations of the configuration that begin so."""
    named = context.params.get("settings")
    path = Path(named) if isinstance(named, str | Path) else Path("config.toml")
    try:
        settings = load_settings(path)
    except ConfigError:
        return []
    return [
        CompletionItem(one.name, help=one.kind) for one in settings.destination if one.name.startswith(begun)
    ]
