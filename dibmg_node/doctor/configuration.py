"""The configuration: everything that `dibmg config check` complains about."""

from __future__ import annotations

from collections.abc import Iterator

from dibmg_node.config import Settings
from dibmg_node.doctor.verdict import Verdict, bad, doubtful, well
from dibmg_node.errors import ConfigError
from dibmg_node.health.node_check import check_node
from dibmg_node.wiring.exposure import is_insecure, missing_users


def examine(settings: Settings) -> Iterator[Verdict]:
    """Look at the file and what it names."""
    file = str(settings.path) if settings.path else "no file, every value is the default"
    try:
        check_node(settings)
    except ConfigError as error:
        for complaint in error.complaints:
            yield bad("configuration", complaint, "a value that can be used", "correct this key or its file")
    else:
        yield well("configuration", file)
    for name, section in (("intake", settings.intake), ("web", settings.web)):
        if section is not None and is_insecure(section):
            yield doubtful(
                f"{name} protection",
                f"{section.address}:{section.port} in plain text",
                "TLS where other machines reach it",
                f"add [{name}.tls], and take insecure = true out",
            )
    users = missing_users(settings)
    if users is not None:
        yield doubtful(
            "users of the dashboard",
            f"{users} is not there",
            "the file that web.users names",
            "put it back, or write it with dibmg user add NAME: until then nobody logs in by password",
        )
    if not settings.destination:
        yield doubtful(
            "destinations",
            "none",
            "a PACS that gets the results",
            "add a [[destination]] to the configuration",
        )
