"""A PACS in a process of its own: it writes down what it takes, and may be killed at any moment.

`python -m tests.chaos.recorder FOLDER PORT`
"""

from __future__ import annotations

import os
import sys
import time
from hashlib import sha256
from pathlib import Path

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt

from dibmg_node.dicom import facts
from tests.chaos.studies import REFUSED_PATIENT

_REFUSAL = 0xA900


def main(folder: Path, port: int) -> None:
    """Take results until somebody ends this process."""
    ae = AE(ae_title="RECORDER")
    for sop_class in (facts.MAMMOGRAPHY_CAD_SR, facts.SECONDARY_CAPTURE):
        ae.add_supported_context(sop_class, ALL_TRANSFER_SYNTAXES)

    def store(event: evt.Event) -> int:
        is_report = event.request.AffectedSOPClassUID == facts.MAMMOGRAPHY_CAD_SR
        if is_report and str(event.dataset.PatientID).startswith(REFUSED_PATIENT):
            return _REFUSAL
        data_set = event.request.DataSet.getvalue()
        # other bytes under the same UID get a name of their own: both are seen
        path = folder / f"{event.request.AffectedSOPInstanceUID}-{sha256(data_set).hexdigest()}.dcm"
        part = folder / f"{os.urandom(8).hex()}.part"
        part.write_bytes(event.encoded_dataset())
        part.rename(path)
        return 0x0000

    ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
