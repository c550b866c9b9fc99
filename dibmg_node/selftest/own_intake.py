"""The way into the node's own intake: from this machine, by its real port."""

from __future__ import annotations

import ipaddress
from typing import Final

from dibmg_node.config import Settings
from dibmg_node.domain.selftest import SELFTEST_AET
from dibmg_node.services.cstore import CStoreSender
from dibmg_node.services.tls import TlsFiles

_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def open_own_intake(settings: Settings) -> CStoreSender:
    """Who calls the intake as a self-test does.

    With TLS the certificate that the configuration names is expected, whatever name it is for. Where clients
    have to show one, it is that of `[selftest]`, else the node's own.
    """
    intake, test = settings.intake, settings.selftest
    address = _ANY.get(str(ipaddress.ip_address(intake.address)), intake.address)
    tls = None
    if intake.tls is not None:
        certificate, key = test.certificate, test.key
        if certificate is None:
            certificate, key = intake.tls.certificate, intake.tls.key
        folder = settings.folder
        shown = folder / certificate if intake.tls.ca else None
        tls = TlsFiles(
            folder / intake.tls.certificate, shown, folder / key if shown and key else None, pinned=True
        )
    return CStoreSender(SELFTEST_AET, intake.ae_title, address, intake.port, tls)
