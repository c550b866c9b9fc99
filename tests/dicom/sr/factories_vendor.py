"""A CAD report as other vendors write it: retired codes, features over two views, clusters, every shape.

Made up from the templates; no vendor's file. `conforming` keeps to TID 4000; otherwise the report has what
such reports are met with: private rows, images by value, references where the template has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import UID

from dibmg_node.dicom import codes, facts
from dibmg_node.dicom.cad_library import referenced_instances
from dibmg_node.dicom.codes import Code
from dibmg_node.dicom.sr import terms
from dibmg_node.dicom.sr_content import (
    CONTAINS,
    HAS_ACQUISITION_CONTEXT,
    HAS_CONCEPT_MODIFIER,
    HAS_OBSERVATION_CONTEXT,
    HAS_PROPERTIES,
    INFERRED_FROM,
    SELECTED_FROM,
    Item,
    code,
    container,
    content,
    image,
    number,
    reference,
    text,
    uid,
)
from dibmg_node.domain.image import Point

STUDY_UID = "1.2.840.99999.1"
R_CC, L_CC, R_MLO, L_MLO = (f"{STUDY_UID}.{place}" for place in range(1, 5))
SIZE = (320, 400)
NOT_FOR_PRESENTATION = Code("111152", "DCM", "Not for Presentation")


def srt(value: str, meaning: str) -> Code:
    return Code(value, "SRT", meaning)


DENSITY = srt("F-01796", "Mammography breast density")
CLUSTER = srt("F-01775", "Calcification Cluster")
CALCIFICATION = srt("F-01776", "Individual Calcification")
MASS = srt("F-01791", "Mammographic breast mass")
COMPOSITION = srt("F-01710", "Breast composition")
NIPPLE = srt("T-04100", "Nipple")
EMPHASIS = Code("V-1", "99VENDOR", "Emphasis")

MASS_ELLIPSE = ((100.0, 150.0), (140.0, 150.0), (120.0, 138.0), (120.0, 162.0))
MASS_CIRCLE = ((110.0, 210.0), (110.0, 235.0))
CLUSTER_LINE = ((200.0, 90.0), (230.0, 90.0), (230.0, 120.0), (200.0, 120.0), (200.0, 90.0))
BREAST_LINE = ((1.0, 20.0), (200.0, 100.0), (230.0, 220.0), (1.0, 380.0))
SPOTS = ((206.5, 95.5), (221.5, 110.5), (212.5, 104.5))


def shape(
    concept: Code, kind: str, points: Sequence[Point], source: Item, relationship: str = HAS_PROPERTIES
) -> Item:
    value = Dataset()
    value.GraphicType = kind
    value.GraphicData = [coordinate for point in points for coordinate in point]
    return Item(relationship, "SCOORD", concept, value, (source,))


def percent(concept: Code, value: float) -> Item:
    return number(HAS_PROPERTIES, concept, value, codes.PERCENT)


def algorithm(name: str) -> list[Item]:
    return [
        text(HAS_PROPERTIES, codes.ALGORITHM_NAME, name),
        text(HAS_PROPERTIES, codes.ALGORITHM_VERSION, "8.3"),
    ]


def intent(value: Code) -> Item:
    return code(HAS_CONCEPT_MODIFIER, codes.RENDERING_INTENT, value)


def finding(relationship: str, kind: Code, shown: Code, rows: Sequence[Item]) -> Item:
    return code(relationship, codes.SINGLE_IMAGE_FINDING, kind, [intent(shown), *rows])


def vendor_root(*, conforming: bool) -> Item:
    """The content tree."""
    places = (
        (R_CC, "T-04020", "Right breast", "R-10242", "cranio-caudal"),
        (L_CC, "T-04030", "Left breast", "R-10242", "cranio-caudal"),
        (R_MLO, "T-04020", "Right breast", "R-10226", "medio-lateral oblique"),
        (L_MLO, "T-04030", "Left breast", "R-10226", "medio-lateral oblique"),
    )
    library = {
        sop_uid: image(
            CONTAINS,
            facts.MG_FOR_PROCESSING,
            sop_uid,
            [
                code(HAS_ACQUISITION_CONTEXT, codes.IMAGE_LATERALITY, srt(side, side_words)),
                code(HAS_ACQUISITION_CONTEXT, codes.IMAGE_VIEW, srt(view, view_words)),
                number(HAS_ACQUISITION_CONTEXT, codes.ROWS, SIZE[1], codes.PIXELS),
                number(HAS_ACQUISITION_CONTEXT, codes.COLUMNS, SIZE[0], codes.PIXELS),
            ],
        )
        for sop_uid, side, side_words, view, view_words in places
    }

    def on(sop_uid: str) -> Item:
        return reference(SELECTED_FROM, library[sop_uid])

    def by_value(sop_uid: str) -> Item:
        return on(sop_uid) if conforming else image(SELECTED_FROM, facts.MG_FOR_PROCESSING, sop_uid)

    def spot(point: Point, relationship: str = INFERRED_FROM) -> Item:
        rows = [*algorithm("CalcFinder"), shape(codes.CENTER, "POINT", [point], on(L_CC))]
        return finding(relationship, CALCIFICATION, codes.PRESENTATION_OPTIONAL, rows)

    density_cc = finding(
        INFERRED_FROM,
        DENSITY,
        codes.PRESENTATION_REQUIRED,
        [
            uid(HAS_OBSERVATION_CONTEXT, codes.TRACKING_UNIQUE_IDENTIFIER, f"{STUDY_UID}.77"),
            *algorithm("MassFinder"),
            percent(codes.CERTAINTY_OF_FINDING, 71.5),
            percent(codes.PROBABILITY_OF_CANCER, 33.0),
            shape(codes.CENTER, "POINT", [(120.0, 150.0)], on(R_CC)),
            shape(codes.OUTLINE, "ELLIPSE", MASS_ELLIPSE, on(R_CC)),
            code(HAS_PROPERTIES, terms.SHAPE, srt("M-02100", "Round shape"))
            if not conforming
            else code(HAS_PROPERTIES, terms.LESION_DENSITY, srt("F-01751", "High density lesion")),
        ],
    )
    density_mlo = finding(
        INFERRED_FROM,
        DENSITY,
        codes.PRESENTATION_REQUIRED,
        [
            *algorithm("MassFinder"),
            shape(codes.CENTER, "POINT", [(110.0, 210.0)], by_value(R_MLO)),
            shape(codes.OUTLINE, "CIRCLE", MASS_CIRCLE, by_value(R_MLO)),
        ],
    )
    private = [] if conforming else [number(HAS_PROPERTIES, EMPHASIS, 3.0, terms.NO_UNITS)]
    mass = code(
        CONTAINS,
        terms.COMPOSITE_FEATURE,
        MASS,
        [
            intent(codes.PRESENTATION_REQUIRED),
            code(
                HAS_PROPERTIES,
                terms.COMPOSITE_TYPE,
                Code("111154", "DCM", "Target Content Items are related spatially"),
            ),
            code(
                HAS_PROPERTIES,
                terms.SCOPE_OF_FEATURE,
                Code("111158", "DCM", "Feature detected on multiple images"),
            ),
            *algorithm("MassFinder"),
            percent(terms.CERTAINTY_OF_FEATURE, 80.0),
            percent(codes.PROBABILITY_OF_CANCER, 41.0),
            *private,
            density_cc,
            density_mlo,
        ],
    )
    loose = spot(SPOTS[2], CONTAINS)
    cluster = finding(
        CONTAINS,
        CLUSTER,
        codes.PRESENTATION_OPTIONAL,
        [
            *algorithm("CalcFinder"),
            percent(codes.CERTAINTY_OF_FINDING, 92.0),
            shape(codes.CENTER, "POINT", [(215.0, 105.0)], on(L_CC)),
            shape(codes.OUTLINE, "POLYLINE", CLUSTER_LINE, on(L_CC)),
            code(
                HAS_PROPERTIES,
                terms.CALCIFICATION_DISTRIBUTION,
                srt("F-01772", "Grouped calcification distribution"),
            ),
            number(HAS_PROPERTIES, terms.NUMBER_OF_CALCIFICATIONS, 3, terms.NO_UNITS),
            spot(SPOTS[0]),
            spot(SPOTS[1]),
            *([] if conforming else [reference(INFERRED_FROM, loose)]),
        ],
    )
    geometry = finding(
        CONTAINS,
        terms.BREAST_GEOMETRY,
        NOT_FOR_PRESENTATION,
        [*algorithm("Outliner"), shape(terms.BREAST_OUTLINE, "POLYLINE", BREAST_LINE, on(L_CC))],
    )
    nipple = finding(
        CONTAINS,
        NIPPLE,
        NOT_FOR_PRESENTATION,
        [*algorithm("Outliner"), shape(codes.CENTER, "POINT", [(228.5, 200.5)], on(L_CC))],
    )
    composition = finding(
        CONTAINS,
        COMPOSITION,
        NOT_FOR_PRESENTATION,
        [
            *algorithm("Densitometer"),
            number(HAS_PROPERTIES, terms.PERCENT_FIBROGLANDULAR, 35.0, codes.PERCENT),
            reference(INFERRED_FROM, geometry),
        ],
    )
    right = container(INFERRED_FROM, codes.INDIVIDUAL_IMPRESSION, [intent(codes.PRESENTATION_REQUIRED), mass])
    left = container(
        INFERRED_FROM,
        codes.INDIVIDUAL_IMPRESSION,
        [intent(codes.PRESENTATION_OPTIONAL), cluster, *([] if conforming else [loose])],
    )
    # one container each: PixelMed takes a neighbor's code for that of the finding itself
    anatomy = [
        container(INFERRED_FROM, codes.INDIVIDUAL_IMPRESSION, [intent(NOT_FOR_PRESENTATION), one])
        for one in (geometry, nipple, composition)
    ]

    def done(concept: Code, value: Code, name: str, sop_uids: Sequence[str]) -> Item:
        images = [reference(HAS_PROPERTIES, library[one]) for one in sop_uids]
        return code(CONTAINS, concept, value, [*algorithm(name), *images])

    detected = codes.DETECTION_PERFORMED
    quality = Code("133887000", "SCT", "Image quality analysis")
    analysis = Code("111233", "DCM", "Individual Impression/Recommendation Analysis")
    return container(
        "",
        codes.CAD_REPORT,
        [
            code(
                HAS_CONCEPT_MODIFIER,
                codes.LANGUAGE,
                Code("en", "RFC5646" if conforming else "RFC3066", "English"),
            ),
            container(CONTAINS, codes.IMAGE_LIBRARY, list(library.values())),
            code(CONTAINS, codes.FINDINGS_SUMMARY, codes.SOME_WITH_FINDINGS, [right, left, *anatomy]),
            code(
                CONTAINS,
                codes.SUMMARY_OF_DETECTIONS,
                codes.PARTIALLY_SUCCEEDED,
                [
                    container(
                        INFERRED_FROM,
                        codes.SUCCESSFUL_DETECTIONS,
                        [
                            done(detected, DENSITY, "MassFinder", list(library)),
                            done(detected, CLUSTER, "CalcFinder", (R_CC, L_CC, R_MLO)),
                        ],
                    ),
                    container(
                        INFERRED_FROM,
                        codes.FAILED_DETECTIONS,
                        [done(detected, CLUSTER, "CalcFinder", (L_MLO,))],
                    ),
                ],
            ),
            code(
                CONTAINS,
                codes.SUMMARY_OF_ANALYSES,
                codes.PARTIALLY_SUCCEEDED,
                [
                    container(
                        INFERRED_FROM,
                        codes.SUCCESSFUL_ANALYSES,
                        [done(codes.ANALYSIS_PERFORMED, analysis, "Reasoner", list(library))],
                    ),
                    container(
                        INFERRED_FROM,
                        codes.FAILED_ANALYSES,
                        [done(codes.ANALYSIS_PERFORMED, quality, "Inspector", (L_MLO,))],
                    ),
                ],
            ),
        ],
    )


def vendor_report(*, conforming: bool = False) -> FileDataset:
    """The whole report, read back from its bytes."""
    return dcmread(BytesIO(vendor_bytes(conforming=conforming)))


def vendor_bytes(*, conforming: bool = False) -> bytes:
    """The report as a file in Implicit VR Little Endian."""
    report = Dataset()
    report.SpecificCharacterSet = "ISO_IR 100"
    report.SOPClassUID = facts.MAMMOGRAPHY_CAD_SR
    report.SOPInstanceUID = f"{STUDY_UID}.500"
    report.StudyInstanceUID = STUDY_UID
    report.SeriesInstanceUID = f"{STUDY_UID}.501"
    report.StudyDate = report.ContentDate = "20260303"
    report.StudyTime = report.ContentTime = "101112"
    report.StudyID = report.AccessionNumber = report.ReferringPhysicianName = ""
    report.PatientName, report.PatientID = "Secret^Sally", "ID-SECRET-1"
    report.PatientBirthDate, report.PatientSex = "19600102", "F"
    report.Modality, report.SeriesNumber, report.InstanceNumber = "SR", "70", "1"
    report.Manufacturer, report.ManufacturerModelName = "Vendor", "Checker 9"
    report.CompletionFlag, report.VerificationFlag = "COMPLETE", "UNVERIFIED"
    report.ReferencedPerformedProcedureStepSequence = DicomSequence()
    report.PerformedProcedureCodeSequence = DicomSequence()
    report.CurrentRequestedProcedureEvidenceSequence = referenced_instances(
        (STUDY_UID, f"{STUDY_UID}.502", facts.MG_FOR_PROCESSING, one) for one in (R_CC, L_CC, R_MLO, L_MLO)
    )
    report.update(content(vendor_root(conforming=conforming)))
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "4000"
    report.ContentTemplateSequence = DicomSequence([template])
    return part10(report, facts.IMPLICIT_LE)


def part10(report: Dataset, transfer_syntax_uid: str = facts.EXPLICIT_LE) -> bytes:
    """A data set as a file."""
    report.file_meta = FileMetaDataset()
    report.file_meta.MediaStorageSOPClassUID = report.SOPClassUID
    report.file_meta.MediaStorageSOPInstanceUID = report.SOPInstanceUID
    report.file_meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    file = BytesIO()
    little, implicit = True, transfer_syntax_uid == facts.IMPLICIT_LE
    dcmwrite(file, report, enforce_file_format=True, little_endian=little, implicit_vr=implicit)
    return file.getvalue()
