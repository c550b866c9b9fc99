"""What commands there are: each is imported when it is called, so that none waits for what others need."""

from __future__ import annotations

from importlib import import_module
from typing import Final, cast

import click


class Listed(click.Command):
    """A command as lists and completion show it, not imported yet."""

    def __init__(self, name: str, module: str, summary: str, hidden: bool = False) -> None:
        """List a command.

        Args:
            name: As it is called; its function has the same.
            module: Of `dibmg_node.cli`, that has it.
            summary: The first sentence of its help.
            hidden: Left out of lists.
        """
        super().__init__(name, help=summary, hidden=hidden)
        self._module = module

    def load(self) -> click.Command:
        """The command itself."""
        module = import_module(f"dibmg_node.cli.{self._module}")
        return cast(click.Command, getattr(module, str(self.name)))


class Program(click.Group):
    """A group of listed commands: the one that is called is loaded."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name, and its own arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, Listed) else command, rest


COMMANDS: Final = (
    Listed("alarms", "alarms", "List what holds now and since when."),
    Listed("analyze", "analyze", "Analyze DICOM files or folders: one or several studies."),
    Listed("audit", "audit", "The audit trail: who sent, asked for and got what, and who was not let in."),
    Listed(
        "cancel",
        "control",
        "Give up a study that waits or is being analyzed, and what destinations lack of it.",
    ),
    Listed(
        "compare", "compare", "Compare the shadow model with the first one on the exams that both have read."
    ),
    Listed("completion", "completion", "Print what has a shell complete `dibmg` and its options with Tab."),
    Listed("config", "config", "The configuration file."),
    Listed(
        "conformance", "conformance", "Write the DICOM Conformance Statement of a configuration, in Markdown."
    ),
    Listed("dataset", "dataset", "Data sets of mammograms: manifests and splits."),
    Listed(
        "doctor", "doctor", "Examine machine, configuration and peers, with a remedy for whatever is wrong."
    ),
    Listed("drift", "drift", "Show whether the scores of every device are still those of its reference."),
    Listed(
        "echo",
        "peers",
        "Ask one destination, or all, for a sign of life; exit code 1 if one does not answer.",
    ),
    Listed("evaluate", "evaluate", "Measure weights on labeled images: intervals, tables, plots and cases."),
    Listed(
        "explain",
        "studies",
        "Say why each image was taken or not, and why there is no result where there is none.",
    ),
    Listed(
        "export", "export", "Write studies with their scores into a table, that with the newest image first."
    ),
    Listed("fetch", "fetch", "Pull a study from a PACS; the node reads it as if it had been sent."),
    Listed(
        "outcomes",
        "outcomes",
        "Show sensitivity, specificity, predictive values, recall and AUC of exams whose outcome is known.",
    ),
    Listed(
        "pause",
        "control",
        "Pause intake, analysis or one destination (its NAME) until it is resumed, on every machine.",
    ),
    Listed(
        "priority",
        "control",
        "Say how urgent a study is: stat before routine before low, whatever sender and images say.",
    ),
    Listed(
        "purge",
        "purge",
        "Remove images and results of studies that are read, answered and proven, the oldest first.",
    ),
    Listed(
        "replay", "replay", "Read a study again from the kept bytes, with the model that it was read with."
    ),
    Listed("resume", "control", "Resume what was paused; what waited for it goes on at once."),
    Listed(
        "retry",
        "retry",
        "Try again what failed or was canceled: the analysis, or the deliveries that are lacking.",
    ),
    Listed("run", "run", "Run one process of the node; `dibmg up` starts them all.", hidden=True),
    Listed(
        "selftest",
        "selftest",
        "Send an invented exam with a known lesion through the running node, and check what comes out.",
    ),
    Listed("sr", "sr", "Mammography CAD reports (CAD SR) of any vendor."),
    Listed("status", "status", "Show at a glance how the node is."),
    Listed("studies", "studies", "List studies, that with the newest image first."),
    Listed(
        "study",
        "studies",
        "Show one study: scores, how long each step took, what was delivered where, timeline.",
    ),
    Listed("train", "train", "Train DIB-MG as in the paper; every choice is a key of the plan."),
    Listed("up", "up", "Run the whole node in the foreground, or those roles of it that this machine has."),
    Listed("user", "user", "Users of the dashboard."),
    Listed("weights", "weights", "The weights of DIB-MG."),
)
