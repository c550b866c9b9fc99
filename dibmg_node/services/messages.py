"""Messages between a worker and its confined child: what the child sends is read as what it may be, no more.

The child reads bytes of strangers and may have been taken over by them; its worker has network, ledger and
archive. Plain unpickling calls whatever the sender names.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from multiprocessing.connection import Connection
from typing import Any, Final

from dibmg_node.errors import RetryableError

_HEAD_BYTES: Final = 4
"""Before each message: how many large contents follow it."""
_REFUSED: Final = frozenset({"BUILD", "PUT", "BINPUT", "LONG_BINPUT"})
"""BUILD changes what is there already, classes and members of enums, too; the others make room at will."""
_NAME: Final = re.compile(r"[A-Za-z_][\w.]{0,99}", re.ASCII)


class ForeignAnswerError(RetryableError):
    """The child answered with something that no answer is made of: what runs in it is not this program."""


def send(pipe: Connection[Any, Any], message: Any) -> None:
    """Send a message; what it holds of large contents goes beside it, and is not copied for that.

    Source: PEP 574.
    """
    contents: list[pickle.PickleBuffer] = []
    rest = io.BytesIO()
    _Pickler(rest, protocol=5, buffer_callback=contents.append).dump(message)
    pipe.send_bytes(len(contents).to_bytes(_HEAD_BYTES, "big") + rest.getvalue())
    for content in contents:
        pipe.send_bytes(content.raw())


def receive_order(pipe: Connection[Any, Any]) -> Any:
    """The next message of the worker, which may hold anything.

    Raises:
        EOFError: The worker is gone.
    """
    rest, contents = _receive(pipe)
    return pickle.loads(rest, buffers=contents)


def receive_answer(pipe: Connection[Any, Any], classes: Collection[type]) -> Any:
    """The next message of the child.

    Args:
        pipe: From it.
        classes: What answers are made of, beside numbers, texts, bytes and their lists, tuples, sets and
            mappings.

    Raises:
        ForeignAnswerError: It is made of something else; the message names that.
        EOFError: The child is gone.
    """
    rest, contents = _receive(pipe)
    known = {(one.__module__, one.__qualname__): one for one in classes}
    try:
        for code, _, _ in pickletools.genops(rest):
            if code.name in _REFUSED:
                raise ForeignAnswerError(f"the model process answered with {code.name}")
        return _Unpickler(io.BytesIO(rest), known, contents).load()
    except ForeignAnswerError:
        raise
    except Exception as error:  # bytes of a stranger break in any way
        kind = type(error).__name__
        raise ForeignAnswerError(f"the answer of the model process cannot be read ({kind})") from error


class _Pickler(pickle.Pickler):
    """Has data classes and members of enums made by calling their class.

    So an answer needs no BUILD, and no `getattr`, by which some releases of Python 3.11 find the members.
    """

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, Enum):
            return type(thing), (thing.value,)
        if isinstance(thing, type) or not is_dataclass(thing) or "__reduce_ex__" in vars(type(thing)):
            return NotImplemented
        return type(thing), tuple(getattr(thing, one.name) for one in fields(thing))


class _Unpickler(pickle.Unpickler):
    """Finds no class but those that it was given, and imports nothing."""

    def __init__(
        self, file: io.BytesIO, known: Mapping[tuple[str, str], type], contents: Collection[bytes]
    ) -> None:
        super().__init__(file, buffers=contents)
        self._known = known

    def find_class(self, module: str, name: str) -> type:
        try:
            return self._known[module, name]
        except KeyError:
            asked = f"{module}.{name}"
            told = asked if _NAME.fullmatch(asked) else "what is no name"
            raise ForeignAnswerError(f"the model process answered with {told}") from None


def _receive(pipe: Connection[Any, Any]) -> tuple[bytes, list[bytes]]:
    try:
        message = pipe.recv_bytes()
        number = int.from_bytes(message[:_HEAD_BYTES], "big")
        return message[_HEAD_BYTES:], [pipe.recv_bytes() for _ in range(number)]
    except OSError as error:
        raise EOFError("the other side ended within a message") from error
