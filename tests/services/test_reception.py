"""What a data set's reception hands to its sink, and when."""

from __future__ import annotations

from dibmg_node.services.reception import Reception
from dibmg_node.services.wire import StoreAnswer


class Parts:
    """A sink that notes what it is handed at once."""

    def __init__(self) -> None:
        self.handed: list[list[bytes]] = []

    def write(self, *fragments: memoryview) -> None:
        self.handed.append([bytes(one) for one in fragments])

    def commit(self) -> StoreAnswer:
        return StoreAnswer(0)

    def abort(self) -> None:
        self.handed.clear()


def test_fragments_are_handed_on_in_order_and_together() -> None:
    sink = Parts()
    reception = Reception(lambda: sink, maximum=1000)

    for part in (b"one", b"two", b"three"):
        reception.write(memoryview(part))
    before = list(sink.handed)
    reception.finish()

    assert before == []
    assert sink.handed == [[b"one", b"two", b"three"]]


def test_many_tiny_fragments_are_not_kept() -> None:
    sink = Parts()
    reception = Reception(lambda: sink, maximum=10_000)

    for _ in range(3000):
        reception.write(memoryview(b"x"))

    assert [len(parts) for parts in sink.handed] == [1024, 1024]


def test_what_was_gathered_is_not_written_once_the_data_set_is_refused() -> None:
    sink = Parts()
    reception = Reception(lambda: sink, maximum=4)

    reception.write(memoryview(b"fits"))
    reception.write(memoryview(b"too much"))
    answer = reception.finish()

    assert (answer.status, answer.comment) == (0xC000, "data set longer than 4 bytes")
    assert sink.handed == []
