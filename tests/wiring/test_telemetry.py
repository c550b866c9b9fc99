"""Traces at a real OTLP/HTTP receiver, and none where none is asked for."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ReceivedSpan

from dibmg_node.config import Settings, load_settings
from dibmg_node.errors import ConfigError
from dibmg_node.services.tracing import Span
from dibmg_node.wiring.telemetry import check_telemetry, telemetry
from tests.factories import START
from tests.services.web_peers import Asked, Told, WebPeer, make_certificates, server_tls

SPAN = Span(2**127 + 5, 17, None, "study", START, START + timedelta(seconds=2), {"dibmg.outcome": "analyzed"})
PART = Span(2**127 + 5, 18, 17, "receive", START, START + timedelta(seconds=1))


def load(folder: Path, text: str) -> Settings:
    (folder / "config.toml").write_text(text)
    return load_settings(folder / "config.toml")


def received(asked: Sequence[Asked]) -> list[ReceivedSpan]:
    """Every span that a collector was sent."""
    spans: list[ReceivedSpan] = []
    for one in asked:
        request = ExportTraceServiceRequest()
        request.ParseFromString(one.body)
        for resource in request.resource_spans:
            facts = {kept.key: kept.value.string_value for kept in resource.resource.attributes}
            assert facts["service.name"] == "dibmg-node"
            assert facts["service.instance.id"].startswith("analysis@")
            spans += [span for scope in resource.scope_spans for span in scope.spans]
    return spans


def test_spans_reach_a_collector_with_their_trace_their_parents_and_their_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = make_certificates(tmp_path)
    monkeypatch.setenv("OTLP_TOKEN", "secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with WebPeer(lambda _: Told(200), server_tls(certificates)).running() as collector:
        text = (
            f'[telemetry]\nendpoint = "https://localhost:{collector.port}"\n'
            'ca = "ca.pem"\ntoken_env = "OTLP_TOKEN"\n'
        )
        settings = load(tmp_path, text)
        check_telemetry(settings)
        with telemetry(settings, "analysis") as tell:
            assert tell is not None
            tell([SPAN, PART])

    study, receive = received(collector.asked)
    assert {(one.path, one.headers["authorization"]) for one in collector.asked} == {
        ("/v1/traces", "Bearer secret")
    }
    assert (study.name, study.trace_id.hex(), study.span_id.hex()) == (
        "study",
        f"{SPAN.trace_id:032x}",
        f"{17:016x}",
    )
    assert (study.parent_span_id, receive.parent_span_id) == (b"", study.span_id)
    assert study.start_time_unix_nano == int(START.timestamp()) * 10**9
    assert study.end_time_unix_nano - study.start_time_unix_nano == 2 * 10**9
    assert [(one.key, one.value.string_value) for one in study.attributes] == [("dibmg.outcome", "analyzed")]


def test_a_collector_that_is_away_holds_nobody_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "opentelemetry")
    settings = load(tmp_path, '[telemetry]\nendpoint = "http://127.0.0.1:1"\n')

    with telemetry(settings, "analysis") as tell:
        assert tell is not None
        for _ in range(100):
            tell([SPAN])


def test_without_an_endpoint_nobody_is_told_and_nothing_is_loaded(tmp_path: Path) -> None:
    program = (
        "import json, sys\n"
        "from dibmg_node.wiring import telemetry\n"
        "from dibmg_node.roles import analysis, delivery\n"
        "from dibmg_node.config import Settings\n"
        "with telemetry.telemetry(Settings(), 'analysis') as tell:\n"
        "    loaded = [one for one in sys.modules if one.startswith('opentelemetry')]\n"
        "    print(json.dumps([tell, loaded]))\n"
    )

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert json.loads(told.stdout) == [None, []]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('endpoint = "http://otel.example:4318"', "telemetry"),
        ("insecure = true", "telemetry"),
        ('endpoint = "otel.example"', "telemetry.endpoint"),
        ('endpoint = "https://otel.example"\ntoken_env = "GONE"', "telemetry.token_env"),
        ('endpoint = "https://otel.example"\nca = "gone.pem"', "telemetry.ca"),
    ],
)
def test_what_cannot_work_or_crosses_the_network_in_plain_text_is_refused(
    tmp_path: Path, text: str, complaint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_telemetry(load(tmp_path, f"[telemetry]\n{text}\n"))

    assert [one.partition(":")[0] for one in caught.value.complaints] == [complaint]
