"""Alarming: from the settings to the watch over alarms and the channels that tell of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from dibmg_node.config import Settings
from dibmg_node.environment import need_secret
from dibmg_node.errors import ConfigError
from dibmg_node.health.conditions import conditions
from dibmg_node.machine.processes import process_name
from dibmg_node.sections.alarms import AlarmChannelSection
from dibmg_node.sections.values import check_web_url, is_exposed
from dibmg_node.services.alarm_watch import AlarmWatch, Channel
from dibmg_node.services.credentials import Anonymous, Bearer
from dibmg_node.services.mail import Mail, MailSecurity, MailServer
from dibmg_node.services.tls import TlsFiles, trust_of
from dibmg_node.services.webhook import Webhook
from dibmg_node.storage.ledger import Ledger

Clock = Callable[[], datetime]


def node_name(settings: Settings) -> str:
    """How the node signs its messages: its AE title and its machine."""
    return process_name(settings.intake.ae_title, settings.node_name)


def open_channels(settings: Settings, now: Clock) -> dict[str, Channel]:
    """Every channel, by its name."""
    return {one.name: _channel(settings, one, now) for one in settings.alarm_channel}


def check_channels(settings: Settings) -> None:
    """Whether the secrets and the TLS files that channels name are there; nothing is sent.

    Raises:
        ConfigError: With every complaint at once, each with the path of its key.
    """
    complaints: list[str] = []
    for place, channel in enumerate(settings.alarm_channel):
        path = f"alarm_channel.{place}"
        for key in ("url_env", "token_env", "password_env"):
            variable = getattr(channel, key)
            try:
                secret = need_secret(variable) if variable else ""
                if key == "url_env" and secret:
                    _url(channel)
            except ConfigError as error:
                complaints += [f"{path}.{key}: {one}" for one in error.complaints]
        try:
            trust_of(_tls_files(settings, channel))
        except OSError as error:
            complaints.append(f"{path}.ca: a file cannot be used: {error.strerror or error}")
    if complaints:
        raise ConfigError(complaints)


@contextmanager
def alarming(
    settings: Settings, ledger: Ledger, look: Callable[[], dict[str, Any]], now: Clock
) -> Iterator[None]:
    """Watch over alarms from a thread of its own.

    Args:
        settings: Of the node.
        ledger: Its ledger.
        look: The node at a glance.
        now: The time.
    """
    section = settings.alarms
    watch = AlarmWatch(
        look=lambda: conditions(look(), section, now()),
        alarms=ledger.alarms,
        notices=ledger.notices,
        channels=open_channels(settings, now),
        hold=timedelta(seconds=section.hold_seconds),
        clear=timedelta(seconds=section.clear_seconds),
        now=now,
        node=node_name(settings),
    )
    stopping = threading.Event()
    # a daemon: a channel that hangs must not hold up the end of the process, and its notice is kept
    threading.Thread(target=watch.run, args=(stopping,), name="alarms", daemon=True).start()
    try:
        yield
    finally:
        stopping.set()


def _channel(settings: Settings, channel: AlarmChannelSection, now: Clock) -> Channel:
    tls = _tls_files(settings, channel)
    match channel:
        case AlarmChannelSection(kind="webhook"):
            token = channel.token_env
            credentials = Bearer(partial(need_secret, token)) if token else Anonymous()
            return Webhook(partial(_url, channel), credentials, tls, now)
        case AlarmChannelSection(kind="email", host=str(host), from_address=str(sender)):
            variable = channel.password_env
            password = partial(need_secret, variable) if variable else str
            security = MailSecurity(channel.security)
            server = MailServer(host, channel.smtp_port, security, channel.username, password, tls)
            return Mail(server, sender, channel.to, now)
    raise AssertionError("the rules of a channel let no other one pass")


def _url(channel: AlarmChannelSection) -> str:
    """Where a webhook is; one that comes by environment is read for every message."""
    if channel.url is not None:
        return channel.url
    variable = channel.url_env
    assert variable is not None
    url = need_secret(variable)
    if is_exposed(url) and not channel.insecure:
        raise ConfigError([f"{variable}: expected https://, or insecure = true"])
    try:
        return check_web_url(url)
    except ValueError as error:
        raise ConfigError([f"{variable}: {error}"]) from error


def _tls_files(settings: Settings, channel: AlarmChannelSection) -> TlsFiles:
    return TlsFiles(ca=channel.ca and settings.folder / channel.ca)
