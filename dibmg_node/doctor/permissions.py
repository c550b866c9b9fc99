"""Permissions: the data folder and every secret are the node's alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from dibmg_node.config import Settings
from dibmg_node.doctor.certificates import judge_secret
from dibmg_node.doctor.verdict import Verdict, bad, doubtful, well


def examine(settings: Settings) -> Iterator[Verdict]:
    """Look at owner and mode of what the node keeps and reads."""
    yield judge_folder(settings.data_dir)
    if settings.path is not None:
        yield judge_configuration(settings.path)
    for name, path in _secrets(settings):
        if path.exists():
            yield judge_secret(name, path)


def judge_folder(folder: Path) -> Verdict:
    """Whether this user can use the data folder, and nobody else."""
    if not folder.exists():
        parent = next(one for one in folder.parents if one.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            return well("data folder", f"{folder} is made at the first start")
        remedy = f"make {folder}, and give it to the user of the node"
        return bad("data folder", f"{folder} is not there, and cannot be made", "a folder", remedy)
    state = folder.stat()
    mode = state.st_mode & 0o777
    found, expected = f"{folder} has mode {mode:04o}, owner {state.st_uid}", "0700, of the node's user"
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK) or not folder.is_dir():
        return bad(
            "data folder", f"{found}: this user cannot use it", expected, f"chown and chmod 700 {folder}"
        )
    if mode & 0o002:
        return bad("data folder", f"{found}: everybody may change it", expected, f"chmod 700 {folder}")
    if mode & 0o007:
        return doubtful(
            "data folder", f"{found}: everybody may look into it", expected, f"chmod 700 {folder}"
        )
    return well("data folder", found)


def judge_configuration(path: Path) -> Verdict:
    """Whether only who may configure the node does."""
    mode = path.stat().st_mode & 0o777
    found = f"{path.name} has mode {mode:04o}"
    if mode & 0o022:
        expected = "a file that only its owner may change"
        return bad("configuration file", found, expected, f"chmod go-w {path}")
    return well("configuration file", found)


def _secrets(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Files that hold secrets, by what they are."""
    yield "audit key", settings.data_dir / "audit.key"
    yield "session key", settings.data_dir / "web" / "session.key"
    yield "users", settings.users_file
    variables = ["DIBMG_LEDGER_PASSWORD", "DIBMG_BROKER_PASSWORD", "DIBMG_AUDIT_KEY", "DIBMG_SESSION_KEY"]
    variables += ["DIBMG_ARCHIVE_KEY", "DIBMG_ARCHIVE_SECRET", settings.stow.token_env]
    for channel in settings.alarm_channel:
        variables += [name for name in (channel.url_env, channel.token_env, channel.password_env) if name]
    if settings.telemetry.token_env:
        variables.append(settings.telemetry.token_env)
    if settings.web is not None and settings.web.oidc is not None and settings.web.oidc.client_secret_env:
        variables.append(settings.web.oidc.client_secret_env)
    for destination in settings.destination:
        variables += [name for name in (destination.token_env, destination.password_env) if name]
        variables += [destination.oauth.client_secret_env] if destination.oauth else []
    for variable in variables:
        path = os.environ.get(f"{variable}_FILE")
        if path:
            yield f"{variable}_FILE", Path(path)
