"""How a configuration names an operating point."""

from __future__ import annotations


def names_a_file(name_or_file: str) -> bool:
    """Whether an operating point is named by the path of a file: it has a slash or ends in `.json`."""
    return "/" in name_or_file or name_or_file.endswith(".json")
