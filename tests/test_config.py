from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kombu.utils.url import parse_url
from pydantic import BaseModel
from sqlalchemy import make_url

from dibmg_node.config import Settings, load_settings
from dibmg_node.domain.lifecycle import Proof
from dibmg_node.domain.policy import ExamMinimum, ExamPolicy, ImplantPolicy
from dibmg_node.domain.result import OverlayStyle, ResultKind
from dibmg_node.errors import ConfigError

SHIPPED = Path(__file__).parents[1] / "config.toml"


def load(folder: Path, text: str) -> Settings:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path)


def complaints(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return list(caught.value.complaints)


def uncommented(text: str) -> str:
    """The shipped file with every line of settings in comments made a setting."""
    setting = re.compile(r"^# (\[\[?[a-z._]+\]\]?(?: +#.*)?|[a-z_]+ = .*)$", re.MULTILINE)
    return setting.sub(r"\1", text)


def keys_of(model: type[BaseModel], path: str = "") -> set[str]:
    """Key paths of a model, sections of lists included."""
    keys = set()
    for name, info in model.model_fields.items():
        inner = info.annotation
        arguments = getattr(inner, "__args__", ())
        for one in (inner, *arguments):
            if isinstance(one, type) and issubclass(one, BaseModel):
                keys |= keys_of(one, f"{path}{name}.")
                break
        else:
            keys.add(path + name)
    return keys


def keys_in(content: Any, path: str = "") -> set[str]:
    keys = set()
    for name, value in content.items():
        for one in value if isinstance(value, list) and value and isinstance(value[0], dict) else [value]:
            keys |= keys_in(one, f"{path}{name}.") if isinstance(one, dict) else {path + name}
    return keys


def test_the_shipped_file_is_valid_and_states_the_defaults() -> None:
    assert load_settings(SHIPPED).model_dump() == Settings().model_dump()


def test_the_shipped_file_has_a_comment_for_every_section_and_shows_every_key() -> None:
    shown = keys_in(tomllib.loads(uncommented(SHIPPED.read_text(encoding="utf-8"))))

    assert shown == keys_of(Settings)


def test_what_the_shipped_file_shows_in_comments_is_valid(tmp_path: Path) -> None:
    settings = load(tmp_path, uncommented(SHIPPED.read_text(encoding="utf-8")))

    assert (len(settings.sender), len(settings.destination)) == (1, 5)


def test_a_proof_by_commitment_is_for_c_store_and_one_by_query_for_both(tmp_path: Path) -> None:
    stow = '[[destination]]\nname = "web"\nkind = "stow"\nurl = "https://pacs/dicom-web"\nproof = "{}"\n'
    dimse = '[[destination]]\nname = "pacs"\naddress = "h"\nport = 104\nae_title = "PACS"\nproof = "{}"\n'

    settings = load(tmp_path, stow.format("query") + dimse.format("commitment"))
    told = complaints(tmp_path, stow.format("commitment") + dimse.format("promise"))

    assert [one.proof for one in settings.destination] == [Proof.QUERY, Proof.COMMITMENT]
    assert [one.split(":", maxsplit=1)[0] for one in told] == ["destination.0.proof", "destination.1.proof"]
    assert "'commitment' is of kind 'cstore' only" in told[0]


def test_no_file_is_all_defaults() -> None:
    settings = load_settings(None)

    assert (settings.path, settings.folder) == (None, Path.cwd())
    assert settings.exam_policy == ExamPolicy()


def test_all_complaints_come_at_once_with_their_keys(tmp_path: Path) -> None:
    text = """
    odd = 1
    [intake]
    port = 70000
    ae_title = "a title that is too long"
    address = "localhost!"
    quiet_seconds = 0
    same_uid = "both"
    [[sender]]
    ae_title = "MG1"
    address = "10.0.0.1/24"
    [[sender]]
    address = "10.0.0.1"
    [exam]
    minimum = "three"
    [model]
    runtime = "torch"
    weight = "x"
    [overlay]
    max_side = 100
    [[destination]]
    name = "pacs"
    kind = "fax"
    results = []
    [[destination]]
    name = "archive"
    kind = "stow"
    address = "h"
    username = "a:b"
    results = []
    [[destination]]
    name = "other"
    port = 0
    url = "x"
    """

    told = complaints(tmp_path, text)

    assert {one.split(":", maxsplit=1)[0] for one in told} == {
        "odd",
        "intake.port",
        "intake.ae_title",
        "intake.address",
        "intake.quiet_seconds",
        "intake.same_uid",
        "sender.0.address",
        "sender.1.ae_title",
        "exam.minimum",
        "model.runtime",
        "model.weight",
        "overlay.max_side",
        "destination.0.kind",
        "destination.0.results",
        "destination.1.url",
        "destination.1.address",
        "destination.1.username",
        "destination.1.password_env",
        "destination.1.results",
        "destination.2.address",
        "destination.2.port",
        "destination.2.ae_title",
        "destination.2.url",
    }
    assert "odd: unknown key" in told
    assert "model.weight: unknown key" in told


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[intake]\nquiet_seconds = 60\nmax_wait_seconds = 30", "intake: max_wait_seconds is shorter"),
        (
            '[overlay]\nstyle = "rainbow"',
            "overlay.style: Input should be 'color', 'contour' or 'side-by-side'",
        ),
        ('[intake]\nae_title = "A\\\\B"', "intake.ae_title: an AE title has"),
        ('[intake]\nae_title = " A"', "intake.ae_title: an AE title has"),
        ('[intake]\nae_title = ""', "intake.ae_title: an AE title has"),
        ('[broker]\nurl = "amqp://host"', "broker.url: expected 'embedded'"),
        ('[ledger]\nurl = "sqlite:///x"', "ledger.url: expected 'embedded'"),
        ("[archive]\npurge_after_days = 1e6", "archive.purge_after_days: Input should be less than"),
        ("[archive]\npurge_after_days = inf", "archive.purge_after_days: Input should be a finite number"),
        ("[archive]\nkeep_hours = 1e7", "archive.keep_hours: Input should be less than"),
        ("[archive]\nkeep_hours = nan", "archive.keep_hours: Input should be a finite number"),
        ("[archive]\ncache_gb = inf", "archive.cache_gb: Input should be a finite number"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_what_can(tmp_path: Path, text: str, complaint: str) -> None:
    (told,) = complaints(tmp_path, text)

    assert told.startswith(complaint)


DESTINATION = '[[destination]]\nname = "{}"\naddress = "h"\nport = 104\nae_title = "A"\n'


def test_two_destinations_cannot_have_one_name(tmp_path: Path) -> None:
    (told,) = complaints(tmp_path, DESTINATION.format("pacs") * 2)

    assert "destination name used twice: pacs" in told


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[intake]\nae_title = "DIBMG-SELFTEST"', "intake.ae_title"),
        ('[[sender]]\nae_title = "DIBMG-SELFTEST"\naddress = "10.0.0.1"', "sender.0.ae_title"),
        (DESTINATION.format("DIBMG-SELFTEST"), "destination.0.name"),
    ],
)
def test_nobody_has_the_name_of_self_tests(tmp_path: Path, text: str, key: str) -> None:
    (told,) = complaints(tmp_path, text)

    assert told == f"{key}: DIBMG-SELFTEST is reserved for the node's own self-tests"


@pytest.mark.parametrize("name", ["", "a b", "a/b", "../x", "x" * 65, "-x"])
def test_a_name_is_short_and_plain(tmp_path: Path, name: str) -> None:
    (told,) = complaints(tmp_path, DESTINATION.format(name))

    assert told.startswith("destination.0.name: ")


def test_a_destination_may_have_every_kind_of_result(tmp_path: Path) -> None:
    kinds = [kind.value for kind in ResultKind]

    settings = load(tmp_path, DESTINATION.format("pacs") + f"results = {kinds}")

    assert settings.destination[0].results == tuple(ResultKind)


def test_a_kind_of_result_that_there_is_not_is_refused(tmp_path: Path) -> None:
    (told,) = complaints(tmp_path, DESTINATION.format("pacs") + 'results = ["cad-sr", "heatmap"]')

    assert told.startswith("destination.0.results.1: Input should be 'cad-sr', 'measurement-sr'")


@pytest.mark.parametrize("style", OverlayStyle)
def test_an_overlay_may_have_every_style(tmp_path: Path, style: OverlayStyle) -> None:
    assert load(tmp_path, f'[overlay]\nstyle = "{style}"').overlay.style is style


@pytest.mark.parametrize(
    "url",
    [
        'broker]\nurl = "redis://:geheim@host/0"',
        'broker]\nurl = "redis://user:geheim@host/0"',
        'broker]\nurl = "rediss://host/0?password=geheim"',
        'ledger]\nurl = "postgresql+psycopg://user:geheim@host/db"',
        'ledger]\nurl = "postgresql+psycopg://host/db?password=geheim"',
        'ledger]\nurl = "postgresql+psycopg://user:ge%2Fheim@host/db"',
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    (told,) = complaints(tmp_path, f"[{url}\n")

    assert "holds a password" in told
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"[{url}\n")
    assert "geheim" not in str(caught.value) + str(caught.value.__cause__) + told


@pytest.mark.parametrize("password", ["geheim", "p@ss:w/rd#?%&", "ä b"])
def test_passwords_come_by_environment_whatever_they_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv("DIBMG_LEDGER_PASSWORD", password)
    monkeypatch.setenv("DIBMG_BROKER_PASSWORD", password)
    settings = load(
        tmp_path,
        '[ledger]\nurl = "postgresql+psycopg://user@host:5433/db"\n[broker]\nurl = "redis://host:6380/2"',
    )

    ledger, broker = make_url(settings.ledger_url), parse_url(settings.broker_url)

    assert (ledger.username, ledger.password, ledger.host, ledger.port, ledger.database) == (
        "user",
        password,
        "host",
        5433,
        "db",
    )
    assert (broker["password"], broker["hostname"], broker["port"]) == (password, "host", 6380)


def test_embedded_parts_need_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIBMG_LEDGER_PASSWORD", "geheim")
    monkeypatch.setenv("DIBMG_BROKER_PASSWORD", "geheim")
    settings = load(tmp_path, "")

    assert "geheim" not in settings.ledger_url + settings.broker_url


def test_relative_paths_start_at_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(tmp_path, '[node]\ndata_dir = "deep/var"')
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    by_relative_name = load_settings(Path("../config.toml"))

    assert settings.data_dir == tmp_path / "deep" / "var"
    assert by_relative_name.data_dir.resolve() == settings.data_dir
    assert settings.ledger_url == f"sqlite:///{tmp_path}/deep/var/ledger.sqlite"


def test_an_absolute_data_folder_stays_where_it_is(tmp_path: Path) -> None:
    assert load(tmp_path, '[node]\ndata_dir = "/srv/dibmg"').data_dir == Path("/srv/dibmg")


def test_the_brokers_socket_lies_below_the_data_folder_or_where_its_path_is_short_enough(
    tmp_path: Path,
) -> None:
    near = load(tmp_path, '[node]\ndata_dir = "/srv/dibmg"')
    far = load(tmp_path, f'[node]\ndata_dir = "/srv/{"x" * 120}"')
    farther = load(tmp_path, f'[node]\ndata_dir = "/srv/{"y" * 120}"')

    assert near.broker_socket == Path("/srv/dibmg/broker/broker.sock")
    assert far.broker_socket == far.broker_socket != farther.broker_socket
    assert len(str(far.broker_socket)) <= 100
    assert far.broker_url == f"redis+socket://{far.broker_socket}"


def test_a_sender_may_have_its_own_quiet_time(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        '[[sender]]\nae_title = "SLOW"\naddress = "10.0.0.1"\nquiet_seconds = 200\n'
        '[[sender]]\nae_title = "OTHER"\naddress = "10.0.0.2"\n',
    )

    assert settings.quiet_time("SLOW") == timedelta(seconds=200)
    assert settings.quiet_time("OTHER") == settings.quiet_time("NOBODY") == timedelta(seconds=60)


def test_the_sites_choices_reach_the_exam(tmp_path: Path) -> None:
    settings = load(tmp_path, '[exam]\nminimum = "four_views"\nimplants = "read"')

    assert settings.exam_policy == ExamPolicy(ExamMinimum.FOUR_VIEWS, ImplantPolicy.READ)


@pytest.mark.parametrize("content", [b"[intake", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_file_that_is_not_toml_says_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match="not TOML"):
        load_settings(path)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigError, match=re.escape(str(path))):
            load_settings(path)


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = load(tmp_path, "")

    with pytest.raises(ValueError, match="frozen"):
        settings.intake.port = 1


def test_a_folder_of_weights_is_found_beside_the_file_and_a_name_stays_a_name(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "manifest.json").write_text("{}")

    assert load(tmp_path, '[model]\nweights = "mine"').weights == str(tmp_path / "mine")
    assert load(tmp_path, '[model]\nweights = "default"').weights == "default"


def test_a_password_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("geheim\n")
    monkeypatch.setenv("DIBMG_BROKER_PASSWORD_FILE", str(tmp_path / "secret"))
    settings = load(tmp_path, '[broker]\nurl = "redis://broker:6379/0"')

    assert settings.broker_url == "redis://:geheim@broker:6379/0"
    monkeypatch.setenv("DIBMG_BROKER_PASSWORD_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="DIBMG_BROKER_PASSWORD_FILE"):
        _ = settings.broker_url


@pytest.mark.parametrize(
    ("text", "found"),
    [("default", "default"), ("points.json", "{folder}/points.json"), ("../mine", "{folder}/../mine")],
)
def test_a_file_of_operating_points_is_found_beside_the_configuration_and_a_name_stays_a_name(
    tmp_path: Path, text: str, found: str
) -> None:
    settings = load(tmp_path, f'[model]\noperating_point = "{text}"')

    assert settings.operating_point == found.format(folder=tmp_path)


def test_an_absolute_path_of_operating_points_stays_as_it_is(tmp_path: Path) -> None:
    assert (
        load(tmp_path, '[model]\noperating_point = "/etc/points.json"').operating_point == "/etc/points.json"
    )


STOW = '[[destination]]\nname = "archive"\nkind = "stow"\n'
HTTPS = STOW + 'url = "https://pacs.example/dicom-web/"\n'
HTTP = STOW + 'url = "http://pacs.example/dicom-web"\n'
TOKEN = 'token_env = "DIBMG_TOKEN"\n'
BASIC = 'username = "u"\npassword_env = "DIBMG_PASSWORD"\n'
OAUTH = '[destination.oauth]\ntoken_url = "{}"\nclient_id = "c"\nclient_secret_env = "DIBMG_SECRET"\n'


def test_the_url_of_a_web_destination_ends_without_a_slash(tmp_path: Path) -> None:
    (destination,) = load(tmp_path, HTTPS).destination

    assert destination.url == "https://pacs.example/dicom-web"


@pytest.mark.parametrize(
    "text",
    [
        HTTP,
        STOW + 'url = "http://127.0.0.1:8042/dicom-web"\n' + TOKEN,
        STOW + 'url = "http://[::1]:8042/dicom-web"\n' + BASIC,
        STOW + 'url = "http://localhost"\n' + OAUTH.format("http://localhost:1/token"),
        HTTP + BASIC + "insecure = true",
        HTTPS + "insecure = true\n" + OAUTH.format("http://login.example/token"),
        HTTPS + TOKEN + '[destination.tls]\nca = "ca.pem"\n',
        HTTPS + '[destination.tls]\ncertificate = "c.pem"\nkey = "k.pem"\n',
    ],
)
def test_a_web_destination_whose_keys_fit_together_is_valid(tmp_path: Path, text: str) -> None:
    assert len(load(tmp_path, text).destination) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (STOW, ["destination.0.url: is needed with kind 'stow'"]),
        (STOW + 'url = "ftp://x"', ["destination.0.url: expected https://host[:port]/path, or http://"]),
        (STOW + 'url = "https://"', ["destination.0.url: expected https://host[:port]/path, or http://"]),
        (STOW + 'url = "https://x:99999"', ["destination.0.url: is not a URL"]),
        (STOW + 'url = "https://x y"', ["destination.0.url: a URL has no blanks, and nothing but ASCII"]),
        (HTTP + TOKEN, ["destination.0.url: credentials would cross the network in plain text"]),
        (HTTP + BASIC, ["destination.0.url: credentials would cross the network in plain text"]),
        (
            HTTP + OAUTH.format("http://login.example/token"),
            [
                "destination.0.url: credentials would cross the network in plain text",
                "destination.0.oauth.token_url: credentials would cross the network in plain text",
            ],
        ),
        (HTTPS + TOKEN + "insecure = true", ["destination.0.insecure: no credentials cross the network"]),
        (HTTP + "insecure = true", ["destination.0.insecure: no credentials cross the network"]),
        (
            HTTPS + TOKEN + BASIC,
            ["destination.0.username: only one of token_env, username, oauth can be used"],
        ),
        (HTTPS + 'username = "u"', ["destination.0.password_env: is needed with username"]),
        (HTTPS + 'password_env = "P"', ["destination.0.username: is needed with password_env"]),
        (HTTP + '[destination.tls]\nca = "c"', ["destination.0.tls: has no effect without an https:// url"]),
        (HTTPS + '[destination.tls]\nkey = "k"', ["destination.0.tls: key is of no use without certificate"]),
        (HTTPS + "[destination.tls]\nverify = false", ["destination.0.tls.verify: unknown key"]),
        (HTTPS + "[destination.oauth]\nscope = 1", ["destination.0.oauth.token_url: Field required"]),
        (DESTINATION.format("pacs") + TOKEN, ["destination.0.token_env: is of kind 'stow' only"]),
        (HTTPS + "port = 1", ["destination.0.port: is of kind 'cstore' only"]),
    ],
)
def test_keys_of_a_destination_that_do_not_fit_together_are_named(
    tmp_path: Path, text: str, told: list[str]
) -> None:
    found = complaints(tmp_path, text)

    assert [any(one.startswith(start) for one in found) for start in told] == [True] * len(told), found


@pytest.mark.parametrize(
    "line",
    [
        'url = "https://user:geheim@host/"',
        'url = "https://geheim@host/"',
        'url = "https://host/?token=geheim"',
        'url = "https://host/#geheim"',
        'url = "https://host/"\ntoken_env = "geheim-4711.x"',
        'url = "https://host/"\ntoken = "geheim"',
        'url = "https://host/"\nusername = "u"\npassword = "geheim"',
        'url = "https://host/"\n[destination.oauth]\nclient_secret = "geheim"',
        'url = "https://host/"\n[destination.oauth]\nclient_secret_env = "geheim 4711"',
    ],
)
def test_a_secret_of_a_destination_in_the_file_is_refused_and_not_repeated(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, STOW + line)

    assert "geheim" not in str(caught.value) + str(caught.value.__cause__)
