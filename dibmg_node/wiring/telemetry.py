"""Telemetry: spans sent to a collector by OTLP over HTTP. The only door to OpenTelemetry.

Nothing of it is even imported unless the configuration names a collector.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from dibmg_node.config import Settings
from dibmg_node.environment import need_secret
from dibmg_node.errors import ConfigError
from dibmg_node.machine.processes import process_name
from dibmg_node.services.tls import TlsFiles, trust_of
from dibmg_node.services.tracing import Span, Tell

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_SEND_SECONDS: Final = 10
_EVERY_MILLISECONDS: Final = 2000
_LAST_MILLISECONDS: Final = 3000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def check_telemetry(settings: Settings) -> None:
    """Whether what `[telemetry]` needs is here; nothing is sent.

    Raises:
        ConfigError: With every complaint, each with the path of its key.
    """
    telemetry = settings.telemetry
    if telemetry.endpoint is None:
        return
    complaints = []
    if find_spec("opentelemetry.exporter") is None or find_spec("opentelemetry.sdk") is None:
        complaints.append("telemetry.endpoint: needs `pip install dibmg-node[telemetry]`")
    if telemetry.token_env:
        try:
            need_secret(telemetry.token_env)
        except ConfigError as error:
            complaints += [f"telemetry.token_env: {one}" for one in error.complaints]
    try:
        trust_of(TlsFiles(ca=telemetry.ca and settings.folder / telemetry.ca))
    except OSError as error:
        complaints.append(f"telemetry.ca: a file cannot be used: {error.strerror or error}")
    if complaints:
        raise ConfigError(complaints)


@contextmanager
def telemetry(settings: Settings, process: str) -> Iterator[Tell | None]:
    """A way to a collector; None where the configuration names none.

    Args:
        settings: Of the node.
        process: Whose spans they are.
    """
    section = settings.telemetry
    if section.endpoint is None:
        yield None
        return
    import requests
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    session = requests.Session()
    session.trust_env = False  # neither proxies nor passwords out of the environment
    if section.token_env:
        session.auth = partial(_authorize, section.token_env)
    exporter = OTLPSpanExporter(
        endpoint=f"{section.endpoint}/v1/traces",
        certificate_file=str(settings.folder / section.ca) if section.ca else None,
        timeout=_SEND_SECONDS,
        session=session,
    )
    processor = BatchSpanProcessor(exporter, schedule_delay_millis=_EVERY_MILLISECONDS)
    resource = Resource(
        {
            "service.name": "dibmg-node",
            "service.version": version("dibmg-node"),
            "service.instance.id": process_name(process, settings.node_name),
        }
    )

    def tell(spans: Iterable[Span]) -> None:
        for span in spans:
            processor.on_end(_readable(span, resource))

    try:
        yield tell
    finally:
        processor.force_flush(_LAST_MILLISECONDS)
        processor.shutdown()  # type: ignore[no-untyped-call]


def _authorize(variable: str, request: Any) -> Any:
    """A request with the bearer token as it is now."""
    request.headers["Authorization"] = f"Bearer {need_secret(variable)}"
    return request


def _readable(span: Span, resource: Any) -> ReadableSpan:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, TraceFlags

    def context(span_id: int) -> SpanContext:
        return SpanContext(
            span.trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)
        )

    return ReadableSpan(
        span.name,
        context(span.span_id),
        None if span.parent_id is None else context(span.parent_id),
        resource,
        dict(span.attributes),
        start_time=_nanoseconds(span.start),
        end_time=_nanoseconds(max(span.start, span.end)),
        instrumentation_scope=InstrumentationScope("dibmg_node", version("dibmg-node")),
    )


def _nanoseconds(moment: datetime) -> int:
    since = moment - _EPOCH
    return ((since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds) * 1000
