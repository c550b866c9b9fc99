"""A whole node whose destination is away: who hears of it, and what a collector of traces is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pacs import free_port

from dibmg_node.services.tracing import trace_id
from tests.factories import write_exam
from tests.flow.running_node import RunningNode
from tests.services.web_peers import Asked, Told, WebPeer

STUDY = "1.2.8.1"
MORE = """\
[alarms]
delivery_minutes = 0.01
hold_seconds = 0
[[alarm_channel]]
name = "ops"
kind = "webhook"
url = "{hook}"
[telemetry]
endpoint = "{collector}"
"""
STEPS = {"read", "prepare", "network", "localize", "write"}


def spans(asked: list[Asked]) -> list[Span]:
    found: list[Span] = []
    for one in list(asked):
        request = ExportTraceServiceRequest.FromString(one.body)
        found += [s for r in request.resource_spans for scope in r.scope_spans for s in scope.spans]
    return found


def test_a_destination_that_is_away_is_told_to_a_person_and_every_step_to_a_collector(
    make_node: Callable[..., RunningNode], tmp_path: Path
) -> None:
    with ExitStack() as peers:
        hook, collector = (peers.enter_context(WebPeer(lambda _: Told(200)).running()) for _ in range(2))
        more = MORE.format(hook=hook.url, collector=collector.url)
        node = make_node({"away": free_port()}, more=more).start()
        node.send(write_exam(tmp_path, STUDY))

        def told(_: dict[str, Any]) -> bool:
            names = {one.name for one in spans(collector.asked)}
            return bool(hook.asked) and {"study", "deliver"} <= names

        node.wait(STUDY, told)
        alarms = node.cli("alarms", "--json")

    message = json.loads(hook.asked[0].body)
    assert (message["event"], message["alarm"], message["subject"]) == ("began", "delivery", "away")
    assert STUDY not in hook.asked[0].body.decode()
    assert alarms.returncode == 1
    assert [(one["key"], one["subject"], one["alarm"]) for one in json.loads(alarms.stdout)] == [
        ("delivery", "away", True)
    ]
    found = spans(collector.asked)
    assert {one.name for one in found} == {"study", "receive", "wait", "analyze", "deliver"} | STEPS
    assert {one.trace_id.hex() for one in found} == {f"{trace_id(STUDY, 4):032x}"}
    assert all(one.end_time_unix_nano >= one.start_time_unix_nano for one in found)
    assert not any(STUDY.encode() in one.body for one in collector.asked)
