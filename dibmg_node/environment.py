"""Secrets: from the environment, or from the file that it names. Never from the configuration."""

from __future__ import annotations

import os
from pathlib import Path

from dibmg_node.errors import ConfigError


def read_secret(variable: str) -> str:
    """What a variable holds, or the file that VARIABLE_FILE names; empty where there is neither.

    Raises:
        ConfigError: The file cannot be read.
    """
    value = os.environ.get(variable)
    path = os.environ.get(f"{variable}_FILE")
    if value or not path:
        return value or ""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{variable}_FILE: {path} cannot be read"]) from error


def need_secret(variable: str) -> str:
    """The same, of a secret that must be there.

    Raises:
        ConfigError: It is not there, or its file cannot be read.
    """
    secret = read_secret(variable)
    if not secret:
        raise ConfigError([f"{variable}: not set in the environment, nor {variable}_FILE"])
    return secret
