"""Channels of the configuration: which are right, which are refused, and what they need."""

from __future__ import annotations

from pathlib import Path

import pytest

from dibmg_node.config import Settings, load_settings
from dibmg_node.domain.alarm import AlarmEvent, AlarmMessage
from dibmg_node.errors import ConfigError
from dibmg_node.health.alarming import check_channels, node_name, open_channels
from dibmg_node.services.mail import Mail
from dibmg_node.services.webhook import Webhook
from tests.factories import START, Clock
from tests.services.web_peers import Told, WebPeer

HOOK = '[[alarm_channel]]\nname = "ops"\nkind = "webhook"\n'
MAIL = (
    '[[alarm_channel]]\nname = "mail"\nkind = "email"\nhost = "smtp.clinic.example"\n'
    'from_address = "dibmg@clinic.example"\nto = ["pacs@clinic.example"]\n'
)


def load(folder: Path, text: str) -> Settings:
    (folder / "config.toml").write_text(text)
    return load_settings(folder / "config.toml")


def complaints(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check_channels(load(folder, text))
    return list(caught.value.complaints)


def test_each_kind_of_channel_is_opened(tmp_path: Path) -> None:
    settings = load(tmp_path, HOOK + 'url = "https://hooks.example/dibmg"\n' + MAIL)

    ops, mail = open_channels(settings, Clock()).values()

    check_channels(settings)
    assert isinstance(ops, Webhook)
    assert isinstance(mail, Mail)
    assert (mail.server.port, mail.server.security, mail.to) == (587, "starttls", ("pacs@clinic.example",))


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_the_port_of_a_mail_server_is_that_of_its_security(tmp_path: Path, security: str, port: int) -> None:
    insecure = "insecure = true\n" * (security == "none")

    settings = load(tmp_path, f'{MAIL}security = "{security}"\n{insecure}')

    assert settings.alarm_channel[0].smtp_port == port


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HOOK, ["alarm_channel.0.url"]),
        (HOOK + 'url = "https://h"\nurl_env = "HOOK"\n', ["alarm_channel.0.url"]),
        (HOOK + 'url = "http://hooks.example"\n', ["alarm_channel.0.insecure"]),
        (HOOK + 'url = "https://hooks.example"\ninsecure = true\n', ["alarm_channel.0.insecure"]),
        (HOOK + 'url = "https://hooks.example"\nhost = "h"\n', ["alarm_channel.0.host"]),
        (MAIL + 'token_env = "T"\n', ["alarm_channel.0.token_env"]),
        (MAIL + 'username = "node"\n', ["alarm_channel.0.username"]),
        (MAIL + 'security = "none"\n', ["alarm_channel.0.insecure"]),
        (MAIL.replace("pacs@", "Pacs <pacs@"), ["alarm_channel.0.to"]),
        (
            '[[alarm_channel]]\nname = "mail"\nkind = "email"\n',
            ["alarm_channel.0.host", "alarm_channel.0.from_address", "alarm_channel.0.to"],
        ),
        (HOOK + 'url = "https://h"\n' + HOOK + 'url = "https://h"\n', ["config"]),
        (HOOK + 'url = "https://h"\ntoken_env = "GONE"\n', ["alarm_channel.0.token_env"]),
        (HOOK + 'url_env = "GONE"\n', ["alarm_channel.0.url_env"]),
        (HOOK + 'url_env = "PLAIN"\n', ["alarm_channel.0.url_env"]),
        (HOOK + 'url_env = "WITH_QUERY"\n', ["alarm_channel.0.url_env"]),
        (HOOK + 'url = "https://h"\nca = "gone.pem"\n', ["alarm_channel.0.ca"]),
        ("[alarms]\nhold_seconds = -1\n", ["alarms.hold_seconds"]),
    ],
)
def test_what_cannot_work_or_crosses_the_network_in_plain_text_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: list[str]
) -> None:
    monkeypatch.setenv("PLAIN", "http://hooks.example/secret")
    monkeypatch.setenv("WITH_QUERY", "https://hooks.example/?token=secret")

    found = complaints(tmp_path, text)

    assert [one.partition(":")[0] for one in found] == told
    assert "secret" not in "".join(found)


def test_a_url_that_is_a_secret_comes_by_environment_and_may_be_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(tmp_path, HOOK + 'url_env = "HOOK"\n')
    (channel,) = open_channels(settings, Clock()).values()
    message = AlarmMessage("1-test", AlarmEvent.TEST, "test", "", "a test", START, START, node_name(settings))

    with WebPeer(lambda _: Told(200)).running() as first, WebPeer(lambda _: Told(200)).running() as second:
        for peer in (first, second):
            monkeypatch.setenv("HOOK", peer.url)
            channel.tell(message)

    assert (len(first.asked), len(second.asked)) == (1, 1)
