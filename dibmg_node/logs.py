"""Logs: one JSON object a line, ASCII, a fixed phrase with its facts. No patient data is ever handed in."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_OWN: Final = frozenset({"dibmg_node", "dibmg"})


class JsonFormatter(logging.Formatter):
    """Writes a log line as one ASCII JSON object; control characters come out escaped."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """One line: time, level, process, logger, phrase, facts.

        Of a library that reports an exception only the phrase is kept: Celery puts the exception's text
        into its message and its facts, and that may quote a data set.
        """
        quotable = not record.exc_info or record.name.partition(".")[0] in _OWN
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "event": _event(record, quotable),
        }
        if quotable:
            line.update({key: value for key, value in vars(record).items() if key not in _STANDARD})
        if record.exc_info:
            line["exception"] = self._trace(record)
        return json.dumps(line, default=str)

    def _trace(self, record: logging.LogRecord) -> str:
        """Where an unexpected error came from, without its text: that may quote a data set."""
        assert record.exc_info is not None
        kind, _, trace = record.exc_info
        places = []
        while trace is not None:
            code = trace.tb_frame.f_code
            places.append(f"{Path(code.co_filename).name}:{trace.tb_lineno} {code.co_name}")
            trace = trace.tb_next
        return f"{kind.__name__ if kind else 'unknown'} at {' > '.join(places)}"


class _LogFile(logging.FileHandler):
    """A log in a file; where that cannot be written, standard error is told so, but nothing of the line."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Say that a line is lost."""
        kind, error, _ = sys.exc_info()
        why = error.strerror if isinstance(error, OSError) else kind and kind.__name__
        if sys.stderr is None:  # closed by whoever started this
            return
        with suppress(OSError, ValueError):
            sys.stderr.write(f"a line of {self.baseFilename} is lost: {why}\n")


def _event(record: logging.LogRecord, quotable: bool) -> str:
    """The phrase; of a message that is itself an exception (pynetdicom logs such) only its kind."""
    if not isinstance(record.msg, str):
        return type(record.msg).__name__
    return record.getMessage() if quotable else record.msg


def start_logging(process: str, folder: Path | None, level: str = "info") -> None:
    """Send this process's log to its file below a folder (appended), or to standard error.

    Args:
        process: Who logs.
        folder: None: standard error.
        level: debug, info or warning; libraries that quote data sets tell errors alone at every level.
    """
    target: logging.Handler
    if folder is None:
        target = logging.StreamHandler(sys.stderr)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        target = _LogFile(folder / f"{process}.log", encoding="ascii")
    target.setFormatter(JsonFormatter(process))
    # pydicom warns of odd values and quotes them
    warnings.filterwarnings("ignore", module="pydicom")
    root = logging.getLogger()
    root.handlers[:] = [target]
    root.setLevel(level.upper())
    for noisy in (
        "alembic",
        "celery",
        "pydicom",
        "pynetdicom",
        "kombu",
        "amqp",
        "httpx",
        "httpcore",
        "PIL",
        "uvicorn",
        "python_multipart",
    ):
        logging.getLogger(noisy).setLevel(logging.ERROR)
