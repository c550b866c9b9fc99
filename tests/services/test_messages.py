from __future__ import annotations

import pickle
import typing
from collections.abc import Iterable
from dataclasses import dataclass, is_dataclass
from enum import Enum
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest

from dibmg_node.domain.result import ResultKind
from dibmg_node.services.messages import ForeignAnswerError, receive_answer, receive_order, send
from dibmg_node.services.orders import ANSWER_CLASSES, Ready, Report
from tests.services.sandbox_work import Evil


@dataclass(frozen=True)
class Answer:
    """With what data classes hold."""

    kind: ResultKind
    values: tuple[object, ...]


@dataclass(frozen=True)
class Foreign:
    """No answer is made of this."""

    word: str


class Changing:
    """Pickled as a class whose attribute is to be another."""

    def __reduce__(self) -> tuple[object, ...]:
        return ResultKind, ("cad-sr",), {"_value_": "changed"}


KNOWN = (Answer, ResultKind)


def sent(message: object) -> object:
    """What arrives at the worker."""
    ours, theirs = Pipe()
    with ours, theirs:
        send(theirs, message)
        return receive_answer(ours, KNOWN)


def sent_raw(rest: bytes) -> object:
    """The same of what no `send` would make."""
    ours, theirs = Pipe()
    with ours, theirs:
        theirs.send_bytes(bytes(4) + rest)
        return receive_answer(ours, KNOWN)


def test_an_answer_arrives_as_it_was() -> None:
    answer = Answer(ResultKind.OVERLAY, (1, 2.5, "ö", b"bytes", None, True, [{"key": frozenset({1})}]))

    assert sent(answer) == answer
    assert sent([answer, answer]) == [answer, answer]


class Side(Enum):
    """Pickled as Python 3.11.2, which Debian 12 has, pickles every member of an enum."""

    LEFT = "L"

    def __reduce_ex__(self, _: object) -> tuple[object, ...]:
        return getattr, (Side, self.name)


def test_members_of_enums_need_nothing_but_their_class_whichever_python_sends_them() -> None:
    ours, theirs = Pipe()
    with ours, theirs:
        send(theirs, [Side.LEFT, {Side.LEFT: 1}])

        assert receive_answer(ours, {Side}) == [Side.LEFT, {Side.LEFT: 1}]


def test_large_contents_travel_beside_the_rest() -> None:
    ours, theirs = Pipe()
    with ours, theirs:
        send(theirs, ("first", pickle.PickleBuffer(b"content")))

        messages = [ours.recv_bytes(), ours.recv_bytes()]

    assert messages[0][:4] == bytes([0, 0, 0, 1])
    assert b"content" not in messages[0]
    assert messages[1] == b"content"


def test_an_order_may_hold_what_an_answer_may_not() -> None:
    ours, theirs = Pipe()
    with ours, theirs:
        send(ours, Foreign("order"))

        assert receive_order(theirs) == Foreign("order")


def test_a_class_that_no_answer_is_made_of_is_refused_by_its_name() -> None:
    with pytest.raises(ForeignAnswerError, match=rf"answered with {__name__}.Foreign$"):
        sent(Answer(ResultKind.OVERLAY, (Foreign("hidden"),)))


def test_nothing_of_an_answer_is_run_or_imported(tmp_path: Path) -> None:
    with pytest.raises(ForeignAnswerError, match=r"posix.mkdir"):
        sent(Evil(str(tmp_path / "made")))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["Answer.__init__", "__init__.__globals__", "Answer.__class__"])
def test_what_belongs_to_a_known_class_is_refused(name: str) -> None:
    module = __name__.encode()

    with pytest.raises(ForeignAnswerError, match="answered with"):
        sent_raw(b"\x80\x05\x8c" + bytes([len(module)]) + module + _text(name) + b"\x93.")


def test_what_is_there_already_is_not_changed() -> None:
    with pytest.raises(ForeignAnswerError, match="answered with BUILD"):
        sent(Changing())

    assert ResultKind.CAD_SR.value == "cad-sr"


def test_a_name_that_is_none_is_not_repeated() -> None:
    with pytest.raises(ForeignAnswerError, match=r"answered with what is no name$"):
        sent_raw(b"\x80\x05" + _text("Doe^Jane\n") + _text("x") + b"\x93.")


@pytest.mark.parametrize(
    "rest", [b"", b"\x80\x05", b"\x80\x05.", b"\xff" * 9, b"\x80\x05\x97.", pickle.dumps([1])[:-2], b"cos\n"]
)
def test_what_is_no_message_is_refused(rest: bytes) -> None:
    with pytest.raises(ForeignAnswerError, match="cannot be read"):
        sent_raw(rest)


def test_a_message_that_wants_room_for_nothing_is_refused() -> None:
    with pytest.raises(ForeignAnswerError, match="LONG_BINPUT"):
        sent_raw(b"\x80\x05Nr\xff\xff\xff\x7f.")


def test_a_child_that_is_gone_is_told_apart() -> None:
    ours, theirs = Pipe()
    theirs.close()

    with ours, pytest.raises(EOFError):
        receive_answer(ours, KNOWN)


def test_every_class_that_an_answer_of_the_model_may_hold_is_known() -> None:
    assert set(_classes_of([Report, Ready])) == ANSWER_CLASSES


def _classes_of(hints: Iterable[Any]) -> set[type]:
    found: set[type] = set()
    left = list(hints)
    while left:
        hint = left.pop()
        left += typing.get_args(hint)
        is_kind = isinstance(hint, type) and (is_dataclass(hint) or issubclass(hint, tuple | Enum))
        if is_kind and hint is not tuple and hint not in found:
            found.add(hint)
            left += typing.get_type_hints(hint).values() if not issubclass(hint, Enum) else ()
    return found


def _text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()
