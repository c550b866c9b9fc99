"""The PACS that the demonstration falls back to where no Orthanc is installed."""

from __future__ import annotations

from pathlib import Path

from pacs import AE_TITLE, StorageScp

from dibmg_node.dicom import facts
from dibmg_node.services.cstore import CStoreSender
from dibmg_node.services.delivery import Parcel
from tests.factories import mammogram


def test_the_storage_scp_holds_what_the_node_delivers(tmp_path: Path) -> None:
    result = mammogram(study_uid="1.2.6.1", SOPClassUID=facts.SECONDARY_CAPTURE)
    result.file_meta.MediaStorageSOPClassUID = result.SOPClassUID
    result.save_as(tmp_path / "result.dcm", enforce_file_format=True)
    content = (tmp_path / "result.dcm").read_bytes()
    parcel = Parcel(result.SOPInstanceUID, result.SOPClassUID, facts.EXPLICIT_LE, content)

    with StorageScp(tmp_path / "pacs") as pacs:
        (settlement,) = CStoreSender("DIBMG", AE_TITLE, "127.0.0.1", pacs.port).send([parcel])

        assert settlement.status == "0x0000"
        assert [i.SOPInstanceUID for i in pacs.instances("1.2.6.1")] == [result.SOPInstanceUID]
        assert pacs.instances("1.2.6.2") == []
