"""A request's body as it comes in, with its deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from starlette.requests import ClientDisconnect, Request

_BLOCK: Final = 1024 * 1024


@dataclass(frozen=True)
class BodyLimits:
    """What is borne from who sends a body.

    Attributes:
        longest: Bytes.
        idle: Between two pieces of it.
        grace: From here on the rate is tested.
        minimum_rate: Bytes a second; time that the node itself takes is left out.
    """

    longest: int
    idle: timedelta
    grace: timedelta
    minimum_rate: int


class SlowBodyError(Exception):
    """The body stalls or drips."""


class LongBodyError(Exception):
    """The body is over its limit."""


async def blocks(request: Request, limits: BodyLimits) -> AsyncIterator[bytes]:
    """The body in pieces of about a megabyte: each is worth a turn of a thread.

    Raises:
        SlowBodyError, LongBodyError: A limit is passed.
        ClientDisconnect: The sender went away.
    """
    clock = asyncio.get_running_loop().time
    received, waited, more = 0, 0.0, True
    block = bytearray()
    while more:
        started = clock()
        try:
            async with asyncio.timeout(limits.idle.total_seconds()):
                message = await request.receive()
        except TimeoutError as error:
            raise SlowBodyError(f"nothing came for {limits.idle.total_seconds():g} s") from error
        waited += clock() - started
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        block += message.get("body", b"")
        received += len(message.get("body", b""))
        more = message.get("more_body", False)
        if received > limits.longest:
            raise LongBodyError(f"longer than {limits.longest} bytes")
        if more and waited > limits.grace.total_seconds() and received < waited * limits.minimum_rate:
            raise SlowBodyError(f"slower than {limits.minimum_rate} bytes a second")
        if len(block) >= _BLOCK or not more:
            yield bytes(block)
            block.clear()
