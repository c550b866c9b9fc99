"""Options that choose studies: state, sender, time, score, manufacturer; all of them together."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Final

import click

from dibmg_node.cli.options import Command
from dibmg_node.domain.lifecycle import StudyState
from dibmg_node.storage.listing import StudyFilter
from dibmg_node.wiring.foundation import now

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN: Final = re.compile(r"(\d{1,6})([mhdw])")


class _Day(click.ParamType[datetime]):
    """A day or a moment, of this machine's time zone where the text names none.

    Attributes:
        last: A day means its end.
    """

    name = "date"

    def __init__(self, last: bool) -> None:
        self._last = last

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """`2026-03-04` or `2026-03-04T05:06`."""
        try:
            at = datetime.fromisoformat(value)
            # as a wall clock has it, so that days of 23 and 25 hours end at midnight
            at += timedelta(days=int(self._last and "T" not in value and " " not in value))
            return at.astimezone()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no date (2026-03-04, or 2026-03-04T05:06)", param, ctx)


class Span(click.ParamType[timedelta]):
    """A time back from now."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """`30m`, `2h`, `7d`, `4w`."""
        found = _SPAN.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is no time (30m, 2h, 7d, 4w)", param, ctx)
        return timedelta(**{_UNITS[found[2]]: int(found[1])})


def back(span: timedelta) -> datetime:
    """The moment that lies a span before now.

    Raises:
        click.UsageError: There is none.
    """
    try:
        return now() - span
    except OverflowError as error:
        raise click.UsageError("--since reaches back before the first year") from error


_SCORE: Final = click.FloatRange(0, 1)
_OPTIONS: Final = (
    click.option(
        "--state",
        type=click.Choice([state.value for state in StudyState]),
        help="Only studies in this state.",
    ),
    click.option("--sender", metavar="AET", help="Only what this AE title sent."),
    click.option("--manufacturer", metavar="NAME", help="Only images of this maker."),
    click.option(
        "--from", "begin", type=_Day(False), metavar="DATE", help="Last image on this day or later."
    ),
    click.option("--to", "end", type=_Day(True), metavar="DATE", help="Last image on this day or earlier."),
    click.option("--since", type=Span(), metavar="SPAN", help="Last image within 30m, 2h, 7d; or --from."),
    click.option("--min-score", type=_SCORE, help="Exam score at least this."),
    click.option("--max-score", type=_SCORE, help="Exam score at most this."),
)


def with_filters(command: Command) -> Command:
    """Add the options; they are handed in together, as `wanted`."""

    @wraps(command)
    def filtered(
        *args: Any,
        state: str | None,
        sender: str | None,
        manufacturer: str | None,
        begin: datetime | None,
        end: datetime | None,
        since: timedelta | None,
        min_score: float | None,
        max_score: float | None,
        **others: Any,
    ) -> Any:
        if since is not None and begin is not None:
            raise click.UsageError("--since and --from both say where to begin: name one of them")
        begin = begin if since is None else back(since)
        wanted = StudyFilter(
            state=None if state is None else StudyState(state),
            sender=sender,
            manufacturer=manufacturer,
            since=begin,
            until=end,
            lowest_score=min_score,
            highest_score=max_score,
        )
        return command(*args, wanted=wanted, **others)

    for option in reversed(_OPTIONS):
        filtered = option(filtered)
    return filtered  # type: ignore[return-value]
