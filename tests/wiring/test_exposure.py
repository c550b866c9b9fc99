"""Nothing is open to the network by accident."""

from __future__ import annotations

from pathlib import Path

import pytest

from dibmg_node.config import Settings, load_settings
from dibmg_node.errors import ConfigError
from dibmg_node.health.node_check import check_node
from dibmg_node.wiring.exposure import check_exposure, is_insecure, is_login_needed
from tests.certificates import Authority

INTAKE = "[intake]\naddress = '{}'\n"
WEB = "[web]\naddress = '{}'\n"
TLS = "tls = { certificate = 'node.crt', key = 'node.key' }\n"
MUTUAL = "tls = { certificate = 'node.crt', key = 'node.key', ca = 'ca.crt' }\n"
OPEN = "insecure = true\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Authority(tmp_path).issue("node")
    return tmp_path


def load(folder: Path, text: str) -> Settings:
    path = folder / "config.toml"
    path.write_text(text)
    return load_settings(path)


def complaints(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check_exposure(load(folder, text))
    return list(caught.value.complaints)


@pytest.mark.parametrize("address", ["0.0.0.0", "10.0.0.5", "::", "2001:db8::1"])
def test_plain_dicom_off_loopback_is_refused_and_the_ways_out_are_named(folder: Path, address: str) -> None:
    (told,) = complaints(folder, INTAKE.format(address))

    assert told.startswith(f"intake.address: {address} is reached from other machines")
    assert "[intake.tls]" in told
    assert "insecure = true in [intake]" in told


def test_up_and_config_check_refuse_it(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"intake\.address"):
        check_node(load(folder, INTAKE.format("0.0.0.0")))


@pytest.mark.parametrize(
    ("intake", "web", "clash"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("127.0.0.1", "::", True),
        ("0.0.0.0", "::", True),
        ("0.0.0.0", "::1", False),
        ("127.0.0.1", "127.0.0.2", False),
    ],
)
def test_intake_and_web_at_one_address_are_refused_before_either_listens(
    folder: Path, intake: str, web: str, clash: bool
) -> None:
    text = f"[intake]\naddress = '{intake}'\n[web]\naddress = '{web}'\nport = 11112\n"

    told: list[str] = []
    try:
        check_node(load(folder, text))
    except ConfigError as error:  # what is open to others is complained of, too
        told = error.complaints

    assert any(one.startswith("web.port: 11112 is that of intake, too") for one in told) is clash


def test_tls_off_loopback_wants_certificates_of_clients(folder: Path) -> None:
    (told,) = complaints(folder, INTAKE.format("0.0.0.0") + TLS)

    assert told.startswith("intake.tls.ca: is needed, for 0.0.0.0 is reached from other machines")


@pytest.mark.parametrize(
    ("text", "insecure"),
    [
        (INTAKE.format("127.0.0.1"), False),
        (INTAKE.format("::1"), False),
        (INTAKE.format("127.0.0.1") + OPEN, False),
        (INTAKE.format("127.0.0.1") + TLS, False),
        (INTAKE.format("0.0.0.0") + OPEN, True),
        (INTAKE.format("0.0.0.0") + OPEN + TLS, False),
        (INTAKE.format("0.0.0.0") + MUTUAL, False),
    ],
)
def test_what_is_protected_or_accepted_in_so_many_words_is_let_be(
    folder: Path, text: str, insecure: bool
) -> None:
    settings = load(folder, text)

    check_exposure(settings)

    assert is_insecure(settings.intake) is insecure


@pytest.mark.parametrize("address", ["0.0.0.0", "10.0.0.5", "::"])
def test_the_web_off_loopback_wants_tls_and_a_token(
    folder: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    text = WEB.format(address) + "[stow]\ntoken_env = 'MY_TOKEN'\n"

    told = complaints(folder, text)
    monkeypatch.setenv("MY_TOKEN", "secret")
    with_token = complaints(folder, text)

    assert len(told) == 2
    assert "[web.tls]" in told[0] and "insecure = true in [web]" in told[0]
    assert "MY_TOKEN" in told[1] and "web.tls.ca" in told[1]
    assert with_token == told[:1]


@pytest.mark.parametrize(
    ("more", "token", "insecure"), [(TLS, "secret", False), (OPEN, "secret", True), (MUTUAL, "", False)]
)
def test_the_web_is_let_be_with_encryption_or_in_so_many_words(
    folder: Path, monkeypatch: pytest.MonkeyPatch, more: str, token: str, insecure: bool
) -> None:
    monkeypatch.setenv("DIBMG_STOW_TOKEN", token)
    settings = load(folder, WEB.format("0.0.0.0") + more)

    check_exposure(settings)

    assert settings.web is not None
    assert is_insecure(settings.web) is insecure


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_web_on_loopback_wants_nothing(folder: Path, address: str) -> None:
    check_exposure(load(folder, WEB.format(address)))


def test_a_plain_web_without_a_token_stays_closed_whatever_is_accepted(folder: Path) -> None:
    (told,) = complaints(folder, WEB.format("0.0.0.0") + OPEN)

    assert told.startswith("web.address: 0.0.0.0 is reached from other machines: put a token")


def test_files_of_tls_lie_relative_to_the_configuration_and_all_complaints_come_at_once(folder: Path) -> None:
    gone = "tls = { certificate = 'gone.crt', key = 'node.key' }\n"

    told = complaints(folder, "[intake]\n" + gone + "[web]\n" + gone)

    assert [one.partition(":")[0] for one in told] == [
        "intake.tls.certificate, intake.tls.key",
        "web.tls.certificate, web.tls.key",
    ]
    check_exposure(load(folder, "[intake]\n" + TLS))


@pytest.mark.parametrize("tls", ["", TLS])
def test_a_certificate_subject_wants_certificates_to_be_asked_for(folder: Path, tls: str) -> None:
    sender = "[[sender]]\nae_title = 'MG1'\naddress = '10.0.0.1'\ncertificate_subject = 'CN=mg1'\n"

    (told,) = complaints(folder, "[intake]\n" + tls + sender)

    assert told == "sender.0.certificate_subject: no certificate is asked for without intake.tls.ca"
    check_exposure(load(folder, "[intake]\n" + MUTUAL + sender))


@pytest.mark.parametrize(
    "text",
    [
        "[intake]\ninsecure = 'yes'",
        "[intake.tls]\ncertificate = 'node.crt'",
        "[[sender]]\nae_title = 'A'\naddress = '10.0.0.1'\ncertificate_subject = 'mg1'",
        "[broker]\nurl = 'redis://host'\ntls = { ca = 'ca.crt' }",
    ],
)
def test_odd_values_are_complaints(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        load(tmp_path, text)


OIDC = """
[web.oidc]
issuer = "https://login.example"
client_id = "dibmg"
public_url = "https://dibmg.example"
operator = ["admins"]
"""


def test_a_provider_whose_secret_or_authority_is_missing_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DIBMG_OIDC_SECRET", raising=False)

    told = complaints(folder, OIDC + 'client_secret_env = "DIBMG_OIDC_SECRET"\nca = "none.crt"\n')

    assert [one.split(":")[0] for one in told] == ["web.oidc.client_secret_env", "web.oidc.ca"]


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("https://login.example", "http://login.example", "web.oidc.issuer"),
        ("https://dibmg.example", "http://dibmg.example", "web.oidc.public_url"),
        ("https://login.example", "https://me:pw@login.example", "web.oidc.issuer"),
        ('operator = ["admins"]', "", "web.oidc"),
        ('client_id = "dibmg"', 'client_id = "dibmg"\nscope = "profile"', "web.oidc.scope"),
    ],
)
def test_a_login_by_a_provider_is_protected_and_lets_somebody_in(
    folder: Path, old: str, new: str, key: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(folder, OIDC.replace(old, new))

    assert [one.split(":")[0] for one in caught.value.complaints] == [key]


def test_a_provider_on_this_machine_may_do_without_tls(folder: Path) -> None:
    check_exposure(load(folder, OIDC.replace("https://login.example", "http://127.0.0.1:8081/realms/x")))


def test_whoever_names_a_provider_has_everybody_log_in(folder: Path) -> None:
    assert is_login_needed(load(folder, OIDC))
    assert not is_login_needed(load(folder, "[web]\n"))
