"""A node and a real Orthanc, shared by the tests of a module that only look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pacs import Orthanc

from tests.flow.running_node import RunningNode
from tests.programs import find_program


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """A real PACS."""
    with Orthanc(tmp_path_factory.mktemp("orthanc"), find_program("Orthanc")) as pacs:
        yield pacs


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, orthanc: Orthanc) -> Iterator[RunningNode]:
    """A node that delivers to it."""
    running = RunningNode(tmp_path_factory.mktemp("node"), {"pacs": orthanc.port}).start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[Callable[..., RunningNode]]:
    """Nodes of a test's own, ended after it."""
    nodes: list[RunningNode] = []

    def make(destinations: dict[str, int], **options: object) -> RunningNode:
        nodes.append(RunningNode(tmp_path / f"node{len(nodes)}", destinations, **options))  # type: ignore[arg-type]
        return nodes[-1]

    yield make
    for running in nodes:
        if running.process is not None and running.process.poll() is None:
            running.stop()
