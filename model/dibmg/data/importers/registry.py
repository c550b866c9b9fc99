"""The layouts that can be imported, by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from dibmg.data.importers import (
    cbis_ddsm,
    cdd_cesm,
    cesm_dev,
    cmmd,
    inbreast,
    mias,
    rsna_2023,
    vindr_mammo,
)
from dibmg.data.importers.layout_error import LayoutError
from dibmg.data.importers.names import Layout
from dibmg.data.importers.report import Importer, ImportReport

KINDS: Final[Mapping[str, Importer]] = MappingProxyType(
    {
        Layout.CBIS_DDSM.value: cbis_ddsm.import_cbis_ddsm,
        Layout.INBREAST.value: inbreast.import_inbreast,
        Layout.VINDR_MAMMO.value: vindr_mammo.import_vindr_mammo,
        Layout.CMMD.value: cmmd.import_cmmd,
        Layout.RSNA_2023.value: rsna_2023.import_rsna_2023,
        Layout.CDD_CESM.value: cdd_cesm.import_cdd_cesm,
        Layout.CESM_DEV.value: cesm_dev.import_cesm_dev,
        Layout.MIAS.value: mias.import_mias,
    }
)
"""Keys are plain text: of an enum, click shows and takes the members' names instead."""


def import_layout(kind: str, folder: Path) -> ImportReport:
    """Read a published data set.

    Args:
        kind: A name of `KINDS`.
        folder: Where its tables lie, or a folder above them.

    Raises:
        LayoutError: There is no such layout, no such folder, or it is laid out otherwise.
    """
    if kind not in KINDS:
        raise LayoutError(f"layout {kind!r}: expected one of {', '.join(KINDS)}")
    if not folder.is_dir():
        raise LayoutError(f"{folder}: expected a folder, found none")
    return KINDS[kind](folder)
