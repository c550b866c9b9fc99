"""The page of the queue: in the order in which studies are taken."""

from __future__ import annotations

import re

from starlette.testclient import TestClient

from dibmg_node.domain.pause import Part, Pause
from dibmg_node.domain.priority import Priority
from tests.factories import STANDARD_VIEWS, instance, sop_uid
from tests.storage.life import make_ready
from tests.web.conftest import WebSide
from tests.web.test_pages import client

UIDS = ["1.2.3.1", "1.2.3.2", "1.2.3.3"]


def fill(web: WebSide) -> None:
    """Three studies that wait, one after the other."""
    for uid in UIDS:
        images = [instance(view, study_uid=uid, sop_uid=sop_uid(view, uid)) for view in STANDARD_VIEWS]
        make_ready(web.ledger, web.clock, images)
        web.clock.advance(60)


def order(asking: TestClient) -> list[str]:
    return re.findall(r'<a href="/studies/([0-9.]+)">', asking.get("/queue").text)


def test_the_queue_shows_studies_in_the_order_in_which_they_are_taken(web: WebSide) -> None:
    fill(web)
    asking = client(web)
    before = order(asking)

    web.ledger.decisions.set_priority(UIDS[2], Priority.STAT, "", web.clock())
    web.ledger.decisions.set_priority(UIDS[0], Priority.LOW, "", web.clock())

    assert before == UIDS
    assert order(asking) == [UIDS[2], UIDS[1], UIDS[0]]
    taken = [uid for uid, _, _ in web.ledger.claims.unpublished(web.clock(), web.clock())]
    assert taken == [UIDS[2], UIDS[1], UIDS[0]]


def test_a_paused_analysis_is_told_where_its_queue_is_looked_at(web: WebSide) -> None:
    fill(web)
    web.ledger.pauses.begin(Pause(Part.ANALYSIS, "", web.clock(), "ann", "new GPU"))

    text = client(web).get("/queue").text

    assert "Analysis is paused since" in text
    assert "by ann: new GPU" in text


def test_an_empty_queue_says_so(web: WebSide) -> None:
    assert client(web).get("/queue").text.count("None.") == 3
