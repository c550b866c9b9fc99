"""A login at a provider of another site, as a real browser and its cookies have it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pacs import free_port
from playwright.sync_api import Browser, expect

from dibmg_node.web.server import WebAddress, WebServer
from tests.flow.running_node import RunningNode
from tests.programs import find_program
from tests.viewer.ohif import running_chromium
from tests.web.oidc_provider import SECRET, Provider

pytestmark = pytest.mark.slow

OIDC = """
[web]
port = {port}
[web.oidc]
issuer = "{issuer}"
client_id = "dibmg"
client_secret_env = "DIBMG_OIDC_SECRET"
public_url = "http://localhost:{port}"
operator = ["radiology"]
"""


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider(time.time)
    server = WebServer(made.app, WebAddress("127.0.0.1", 0))
    server.start()
    made.issuer = f"http://127.0.0.1:{server.port}"
    yield made
    server.stop()


@pytest.fixture
def chromium() -> Iterator[Browser]:
    with running_chromium(find_program("chromium")) as browser:
        yield browser


def test_one_logs_in_at_a_provider_and_is_where_one_wanted_to_be(
    provider: Provider, chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIBMG_OIDC_SECRET", SECRET)
    port = free_port()
    node = RunningNode(tmp_path / "node", {}, more=OIDC.format(port=port, issuer=provider.issuer)).start()
    try:
        page = chromium.new_page()
        page.goto(f"http://localhost:{port}/senders")

        page.get_by_role("link", name="Log in by").press("Enter")

        expect(page).to_have_url(re.compile("/senders$"))
        expect(page.get_by_text("4711 operator")).to_be_visible()
        expect(page.get_by_role("link", name="Audit")).to_be_visible()
        page.get_by_role("button", name="Log out").click()
        page.goto(f"http://localhost:{port}/senders")
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    finally:
        node.stop()
