"""Kinds of value that the sections of `config.toml` share, and a section that is checked whole."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ModelWrapValidatorHandler, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Rules = Callable[[Mapping[str, Any]], Iterable[tuple[tuple[str, ...], str]]]
"""From a section as the file has it to complaints, each with the path of its key."""
_Section = TypeVar("_Section", bound=BaseModel)


def whole(value: Any, handler: ModelWrapValidatorHandler[_Section], rules: Rules) -> _Section:
    """A section whose keys were checked one by one and together.

    Raises:
        ValidationError: With the complaints of both checks at once.
    """
    broken: list[tuple[tuple[int | str, ...], str, str]] = []
    if isinstance(value, dict):
        broken += [(key, "rule", told) for key, told in rules(value)]
    try:
        made = handler(value)
    except ValidationError as error:
        broken += [(one["loc"], one["type"], one["msg"]) for one in error.errors(include_input=False)]
    else:
        if not broken:
            return made
    # a PydanticCustomError reads its text as a template only where it is given values
    raise ValidationError.from_exception_data(
        "section",
        [
            InitErrorDetails(type=PydanticCustomError(kind, told), loc=key, input=None)
            for key, kind, told in broken
        ],
    )


def _check_variable(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", value):
        raise ValueError("expected the name of an environment variable that holds the secret, not the secret")
    return value


def check_web_url(value: str) -> str:
    """The root of a web service, without a slash at its end.

    Raises:
        ValueError: It is none, or holds what does not belong in one.
    """
    try:
        parts = urlsplit(value)
        plain = parts.port is None or parts.port > 0
    except ValueError as error:
        raise ValueError("is not a URL") from error
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("holds a user, a query or a fragment: expected https://host[:port]/path alone")
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise ValueError("expected https://host[:port]/path, or http://")
    if not re.fullmatch(r"[\x21-\x7e]+", value):
        raise ValueError("a URL has no blanks, and nothing but ASCII")
    return value.rstrip("/")


def host_and_port(value: str) -> tuple[str, int]:
    """Both parts of `host:port` or `[IPv6 address]:port`.

    Raises:
        ValueError: It is neither.
    """
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", value)
    if not found or not 0 < int(found[3]) < 65536:
        raise ValueError("expected host:port, or [IPv6 address]:port")
    return found[1] or found[2], int(found[3])


def is_exposed(url: Any) -> bool:
    """Whether what goes to a URL can be read on the network."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme == "http" and not is_loopback(parts.hostname or "")
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its address or as `localhost`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


Variable = Annotated[str, AfterValidator(_check_variable)]
WebUrl = Annotated[str, AfterValidator(check_web_url)]
