from __future__ import annotations

import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from dibmg_node.logs import JsonFormatter, start_logging

CANARY = "Kanarienvogel"


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Give the root logger back as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with warnings.catch_warnings():
        yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


class FullDisk(io.StringIO):
    """A file for which there is no room."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def log_to_a_full_disk(folder: Path) -> None:
    start_logging("intake", folder)
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, logging.FileHandler)
    file = handler.setStream(FullDisk())  # type: ignore[arg-type]
    assert file is not None
    file.close()


def lines(folder: Path) -> list[dict[str, object]]:
    text = (folder / "intake.log").read_text(encoding="ascii")
    return [json.loads(line) for line in text.splitlines()]


def fail(name: str) -> None:
    raise ValueError(f"cannot parse {name}")


def test_a_line_is_one_json_object_with_phrase_and_facts(tmp_path: Path) -> None:
    start_logging("intake", tmp_path / "logs")

    logging.getLogger("dibmg_node.x").info("instance stored", extra={"study_uid": "1.2", "size": 3})

    (line,) = lines(tmp_path / "logs")
    assert str(line.pop("at")).endswith("+00:00")
    assert line == {
        "level": "info",
        "process": "intake",
        "logger": "dibmg_node.x",
        "event": "instance stored",
        "study_uid": "1.2",
        "size": 3,
    }


def test_an_exception_is_logged_with_its_place_and_without_its_text(tmp_path: Path) -> None:
    start_logging("intake", tmp_path)

    try:
        fail(CANARY)
    except ValueError:
        logging.getLogger("dibmg_node.x").exception("study failed", extra={"study_uid": "1.2"})

    (line,) = lines(tmp_path)
    assert str(line["exception"]).startswith("ValueError at test_logs.py:")
    assert str(line["exception"]).endswith(" fail")
    assert line["study_uid"] == "1.2"
    assert CANARY not in (tmp_path / "intake.log").read_text()


def test_a_chain_of_exceptions_is_logged_without_any_text(tmp_path: Path) -> None:
    start_logging("intake", tmp_path)

    try:
        try:
            fail(CANARY)
        except ValueError as error:
            raise RuntimeError(f"while reading {CANARY}") from error
    except RuntimeError as error:
        logging.getLogger("dibmg_node.x").error("study failed", exc_info=error, stack_info=True)

    assert CANARY not in (tmp_path / "intake.log").read_text()


def test_an_exception_that_a_library_puts_into_its_message_is_left_out(tmp_path: Path) -> None:
    """As celery.app.trace does it."""
    start_logging("intake", tmp_path)
    context = {"name": "dibmg.analyze", "exc": repr(ValueError(CANARY)), "traceback": CANARY}

    try:
        fail(CANARY)
    except ValueError:
        logging.getLogger("celery.app.trace").error(
            "Task %(name)s raised unexpected: %(exc)s", context, exc_info=True, extra={"data": context}
        )

    (line,) = lines(tmp_path)
    assert line["event"] == "Task %(name)s raised unexpected: %(exc)s"
    assert "ValueError at" in str(line["exception"])
    assert CANARY not in (tmp_path / "intake.log").read_text()


def test_pydicoms_warnings_of_odd_values_are_not_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pydicom.dataset import Dataset

    start_logging("intake", tmp_path)

    dataset = Dataset()
    dataset.StudyInstanceUID = CANARY
    dataset.PatientID = CANARY * 20

    told = capsys.readouterr()
    assert CANARY not in told.err + told.out + (tmp_path / "intake.log").read_text()


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "\x1b[31mred", "a\x00b", "ä\u2028b", "\ud800"])
def test_control_characters_are_escaped(tmp_path: Path, text: str) -> None:
    start_logging("intake", tmp_path)

    logging.getLogger("dibmg_node.x").warning("refused", extra={"aet": text})

    raw = (tmp_path / "intake.log").read_bytes()
    assert raw.count(b"\n") == 1
    assert all(0x20 <= byte < 0x7F for byte in raw[:-1])
    assert lines(tmp_path)[0]["aet"] == text


def test_debug_and_the_chatter_of_libraries_are_left_out(tmp_path: Path) -> None:
    start_logging("intake", tmp_path)

    logging.getLogger("dibmg_node.x").debug("detail")
    logging.getLogger("pydicom").warning("Invalid value for VR PN")
    logging.getLogger("pynetdicom.assoc").info("Association Accepted")

    assert lines(tmp_path) == []


def test_a_log_is_continued(tmp_path: Path) -> None:
    for number in range(2):
        start_logging("intake", tmp_path)
        logging.getLogger("dibmg_node.x").info("started", extra={"number": number})
        logging.getLogger().handlers[0].close()

    assert [line["number"] for line in lines(tmp_path)] == [0, 1]


def test_without_a_folder_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("analyze", None)

    logging.getLogger("dibmg_node.x").info("started")

    assert json.loads(capsys.readouterr().err)["process"] == "analyze"


def test_what_cannot_be_json_is_still_a_line() -> None:
    record = logging.makeLogRecord(
        {"name": "dibmg_node.x", "msg": "phrase", "odd": {1, 2}, "path": Path("x")}
    )

    line = json.loads(JsonFormatter("p").format(record))

    assert (line["odd"], line["path"]) == ("{1, 2}", "x")


def test_a_message_that_is_itself_an_exception_is_told_by_its_kind(tmp_path: Path) -> None:
    """As pynetdicom logs what it could not encode."""
    start_logging("intake", tmp_path)

    logging.getLogger("somewhere").error(ValueError(CANARY))

    (line,) = lines(tmp_path)
    assert line["event"] == "ValueError"
    assert CANARY not in (tmp_path / "intake.log").read_text()


def test_of_a_line_that_cannot_be_written_standard_error_tells_that_and_nothing_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log_to_a_full_disk(tmp_path)

    try:
        fail(CANARY)
    except ValueError as error:
        logging.getLogger("dibmg_node").error("unexpected error", exc_info=error)

    told = capsys.readouterr().err
    assert told == f"a line of {tmp_path / 'intake.log'} is lost: No space left on device\n"


def test_a_line_that_cannot_be_written_stops_nobody_where_standard_error_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_to_a_full_disk(tmp_path)
    monkeypatch.setattr(sys, "stderr", None)

    logging.getLogger("dibmg_node").error("one line")
