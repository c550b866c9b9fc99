from __future__ import annotations

from ipaddress import ip_address

import pytest

from dibmg_node.config import Settings
from dibmg_node.domain.result import ResultKind
from dibmg_node.wiring.foundation import wanted
from dibmg_node.wiring.proof_choice import may_report


def settings(address: str, proof: str = "commitment") -> Settings:
    pacs = {"name": "pacs", "address": address, "port": 104, "ae_title": "PACS", "proof": proof}
    return Settings.model_validate({"destination": [pacs]})


@pytest.mark.parametrize(
    ("address", "proof", "calling", "peer", "may"),
    [
        ("10.1.2.3", "commitment", "PACS", "10.1.2.3", True),
        ("10.1.2.3", "commitment", "PACS", "10.1.2.4", False),
        ("10.1.2.3", "commitment", "OTHER", "10.1.2.3", False),
        ("10.1.2.3", "query", "PACS", "10.1.2.3", False),
        ("localhost", "commitment", "PACS", "127.0.0.1", True),
        ("no-such-host.invalid", "commitment", "PACS", "10.1.2.3", False),
    ],
)
def test_a_destination_that_is_asked_for_commitment_may_report_from_its_own_address(
    address: str, proof: str, calling: str, peer: str, may: bool
) -> None:
    assert may_report(settings(address, proof), calling, ip_address(peer)) is may


def test_what_destinations_are_to_get_is_known_by_kind_and_variant() -> None:
    assert wanted(settings("10.1.2.3")) == {
        "pacs": {(ResultKind.CAD_SR, "density"), (ResultKind.OVERLAY, "")},
    }


def test_a_host_without_destinations_does_not_know_what_others_are_to_get() -> None:
    assert wanted(Settings.model_validate({})) is None
