"""One HTTP exchange, bounded in time and in what is read of the answer. The only door to httpx.

It is imported by the first exchange: most processes that could ask a web server never do.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from dibmg_node.dicom import facts
from dibmg_node.errors import PeerUnavailableError
from dibmg_node.services.deadline import Deadline
from dibmg_node.services.tls import TlsFiles, told_of, trust_of

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS: Final = 10
IDLE_SECONDS: Final = 60
"""Between two pieces of a request or an answer; a PACS stores a study before it answers."""
_LONGEST_RETRY_AFTER: Final = timedelta(days=1)
_BODIES_READ: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.CONFLICT})


@dataclass(frozen=True)
class Request:
    """What is asked.

    Attributes:
        content: The body, in pieces, that can be gone through again; empty for none.
        length: Bytes in it.
        headers: May hold credentials, and are therefore in no representation.
        longest_answer: Bytes of a body that are read; of a longer one nothing is handed on.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: Iterable[bytes] = field(default=(), repr=False)
    length: int = 0
    longest_answer: int = 1 << 20


@dataclass(frozen=True)
class Answer:
    """What was answered.

    Attributes:
        body: None where it was too long; empty where the status says enough.
        location: Scheme and host that a redirect names; empty where there is none.
        retry_after: How long the peer wants to be left alone; None where it did not say.
        date: What the peer takes for the time; None where it did not say.
    """

    status: int
    content_type: str
    body: bytes | None = field(repr=False)
    location: str
    retry_after: timedelta | None
    date: datetime | None = None


def exchange(request: Request, tls: TlsFiles, deadline: Deadline, now: datetime) -> Answer:
    """Ask once, over a connection of its own; redirects are not followed.

    Args:
        request: What is asked.
        tls: Read anew each time, so that a renewed certificate counts; without effect on http://.
        deadline: Running.
        now: For a Retry-After that names a date, where the answer has no Date of its own.

    Raises:
        PeerUnavailableError: There was no whole answer; the message says why and names no credentials.
    """
    import httpx

    url = httpx.URL(request.url)
    who = _server(url)

    def trace(event: str, facts_of_it: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            deadline.watch(facts_of_it["return_value"].get_extra_info("socket"))

    headers = {
        "User-Agent": facts.IMPLEMENTATION_VERSION_NAME,
        "Accept-Encoding": "identity",
        **request.headers,
    }
    if request.length:
        headers["Content-Length"] = str(request.length)
    trust = _trust(url, tls)
    timeout = httpx.Timeout(IDLE_SECONDS, connect=CONNECT_SECONDS)
    try:
        # neither proxies nor passwords out of the environment
        with (
            httpx.Client(verify=trust, timeout=timeout, trust_env=False) as client,
            client.stream(
                request.method,
                request.url,
                headers=headers,
                content=request.content if request.length else None,
                extensions={"trace": trace} | ({"sni_hostname": name} if (name := tls.server_name) else {}),
            ) as response,
        ):
            return Answer(
                status=response.status_code,
                content_type=response.headers.get("Content-Type", ""),
                body=_body(response, request.longest_answer),
                location=_location(response),
                retry_after=_retry_after(response, now),
                date=_date(response.headers.get("Date", "")),
            )
    except httpx.HTTPError as error:
        told = f"no whole answer within {deadline.seconds:g} s" if deadline.passed else _why(error)
        unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        raise PeerUnavailableError(f"{who}: {told}", in_doubt=not unsent) from error


def _body(response: httpx.Response, longest: int) -> bytes | None:
    if not response.is_success and response.status_code not in _BODIES_READ:
        return b""
    body = bytearray()
    for piece in response.iter_raw():
        body += piece
        if len(body) > longest:
            return None
    return bytes(body)


def _trust(url: httpx.URL, tls: TlsFiles) -> ssl.SSLContext:
    if url.scheme != "https":
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies, and trusts nobody
    try:
        return trust_of(tls)
    except OSError as error:
        told = f"a file of tls cannot be used: {error.strerror or error}"
        raise PeerUnavailableError(f"{_server(url)}: {told}") from error


def _location(response: httpx.Response) -> str:
    return _server(response.next_request.url) if response.next_request else ""


def _server(url: httpx.URL) -> str:
    """Scheme, host and port; no more of it: a path or a query may hold a token."""
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"


def _retry_after(response: httpx.Response, now: datetime) -> timedelta | None:
    """Retry-After, seconds or a date, at most a day. Source: RFC 9110 10.2.3."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        # cut before the number is made: a day has 86400 seconds
        wait = timedelta(seconds=int(text[:6])) if len(text) <= 6 else _LONGEST_RETRY_AFTER
        return min(wait, _LONGEST_RETRY_AFTER)
    moment = _date(text)
    if moment is None:
        return None
    # the peer's own clock where it tells it: the two may differ by more than the wait
    sent = _date(response.headers.get("Date", "")) or now
    return min(max(moment - sent, timedelta(0)), _LONGEST_RETRY_AFTER)


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else None


def _why(error: httpx.HTTPError) -> str:
    """What broke, in words; never the text of a library, which may quote a header."""
    import httpx

    if isinstance(error, httpx.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS} s"
    if isinstance(error, httpx.TimeoutException):
        return f"nothing came for {IDLE_SECONDS} s"
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            return f"TLS: {told_of(cause)}"
        if isinstance(cause, OSError) and cause.strerror:
            step = "no connection" if isinstance(error, httpx.ConnectError) else "the connection broke"
            return f"{step}: {cause.strerror}"
    if isinstance(error, httpx.ConnectError):
        return "no connection"
    return "the connection broke, or what was answered is not HTTP"


def _causes(error: BaseException) -> Iterable[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
