"""Names of the published layouts, without what reads them."""

from __future__ import annotations

from enum import StrEnum


class Layout(StrEnum):
    """A published data set, and how its files lie."""

    CBIS_DDSM = "cbis-ddsm"
    INBREAST = "inbreast"
    VINDR_MAMMO = "vindr-mammo"
    CMMD = "cmmd"
    RSNA_2023 = "rsna-2023"
    CDD_CESM = "cdd-cesm"
    CESM_DEV = "cesm-dev"
    MIAS = "mias"
