"""Which keys of a destination belong together: what no single key can tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from dibmg_node.sections.values import is_exposed

_CSTORE_KEYS: Final = ("address", "port", "ae_title")
_STOW_KEYS: Final = ("url", "token_env", "username", "password_env", "oauth", "insecure")
_WAYS_IN: Final = ("token_env", "username", "oauth")


def rules_broken(destination: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Complaints about a destination as the file has it, each with the path of its key.

    Values that are no text are left to the checks of their own keys.
    """
    kind = destination.get("kind", "cstore")
    if kind == "cstore":
        yield from (
            ((key,), "is needed with kind 'cstore'") for key in _CSTORE_KEYS if key not in destination
        )
        yield from (((key,), "is of kind 'stow' only") for key in _STOW_KEYS if key in destination)
    elif kind == "stow":
        if "url" not in destination:
            yield ("url",), "is needed with kind 'stow'"
        yield from (((key,), "is of kind 'cstore' only") for key in _CSTORE_KEYS if key in destination)
        if destination.get("proof") == "commitment":
            yield ("proof",), "'commitment' is of kind 'cstore' only: expected 'none' or 'query'"
        yield from _credentials(destination)
        yield from _encryption(destination)


def _credentials(destination: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    ways = [key for key in _WAYS_IN if key in destination]
    yield from (((key,), f"only one of {', '.join(_WAYS_IN)} can be used") for key in ways[1:])
    if "username" in destination and "password_env" not in destination:
        yield ("password_env",), "is needed with username"
    if "password_env" in destination and "username" not in destination:
        yield ("username",), "is needed with password_env"


def _encryption(destination: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    insecure = destination.get("insecure") is True
    in_plain_text: list[tuple[str, ...]] = []
    if any(key in destination for key in (*_WAYS_IN, "password_env")) and is_exposed(destination.get("url")):
        in_plain_text.append(("url",))
    oauth = destination.get("oauth")
    if isinstance(oauth, Mapping) and is_exposed(oauth.get("token_url")):
        in_plain_text.append(("oauth", "token_url"))
    if not insecure:
        told = "credentials would cross the network in plain text: expected https://, or insecure = true"
        yield from ((key, told) for key in in_plain_text)
    elif not in_plain_text:
        yield ("insecure",), "no credentials cross the network in plain text here: leave it out"
    if "tls" in destination and str(destination.get("url", "https:")).startswith("http:"):
        yield ("tls",), "has no effect without an https:// url"
