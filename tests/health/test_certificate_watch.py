from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dibmg_node.config import Settings, load_settings
from dibmg_node.health.certificate_watch import CertificateWatch, expiries
from tests.certificates import Authority

NOW = datetime.now(UTC)
ALL = """
[intake.tls]
certificate = "node.crt"
key = "node.key"
ca = "ca.crt"
[web.tls]
certificate = "web.crt"
key = "web.key"
[broker]
url = "rediss://host"
[broker.tls]
ca = "ca.crt"
[[destination]]
name = "pacs"
address = "h"
port = 104
ae_title = "PACS"
[destination.tls]
ca = "ca.crt"
certificate = "gone.crt"
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    authority = Authority(tmp_path, days=400)
    authority.issue("node", days=30.5)
    authority.issue("web", days=-1)
    (tmp_path / "config.toml").write_text(ALL)
    return load_settings(tmp_path / "config.toml")


def warnings(settings: Settings, now: datetime) -> dict[str, str]:
    return {one.key: told for one in expiries(settings) if (told := one.warning(now))}


def test_every_certificate_of_the_configuration_is_watched(settings: Settings) -> None:
    assert [one.key for one in expiries(settings)] == [
        "intake.tls.certificate",
        "intake.tls.ca",
        "web.tls.certificate",
        "broker.tls.ca",
        "destination.0.tls.certificate",
        "destination.0.tls.ca",
    ]


def test_thirty_days_before_it_expires_a_certificate_is_told(settings: Settings) -> None:
    day = next(one.at for one in expiries(settings) if one.key == "intake.tls.certificate")
    assert day is not None

    before = warnings(settings, NOW).get("intake.tls.certificate")
    after = warnings(settings, NOW + timedelta(days=1)).get("intake.tls.certificate")

    assert (before, after) == (None, f"intake.tls.certificate: expires on {day:%Y-%m-%d}, in 29 days")


def test_expired_and_missing_ones_are_told(settings: Settings) -> None:
    told = warnings(settings, NOW)

    assert "web.tls.certificate: expired on" in told["web.tls.certificate"]
    assert "gone.crt cannot be read" in told["destination.0.tls.certificate"]


def test_of_a_chain_the_first_to_expire_counts_and_of_authorities_the_last(
    settings: Settings, tmp_path: Path
) -> None:
    old = Authority(tmp_path / "old", days=4.5)
    for name in ("node.crt", "ca.crt"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes() + old.certificate.read_bytes())

    told = warnings(settings, NOW)

    assert "in 4 days" in told["intake.tls.certificate"]
    assert "intake.tls.ca" not in told


def test_the_watch_looks_once_a_day(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    watch = CertificateWatch(settings)

    counts = []
    for hours in (0, 23, 24):
        watch.look(NOW + timedelta(hours=hours))
        counts.append(len(caplog.records))

    assert counts == [2, 2, 5]
