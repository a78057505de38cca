"""The statistics of every fraction and volume as a Comprehensive 3D SR, TID 1500 Measurement Report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from highdicom.sr import (
    AlgorithmIdentification,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    NumContentItem,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    ReferencedSegment,
    RelationshipTypeValues,
    SourceSeriesForSegmentation,
    TextContentItem,
    TimePointContext,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from highdicom.sr.value_types import ContentSequence
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import SegmentationStorage

from console.outputs.dicom.codes import (
    CATEGORY_TYPE_MODIFIER,
    EVALUABLE,
    GRAY,
    LIVER,
    LOWER_BOUND,
    MRI,
    NO_UNITS,
    NOT_EVALUABLE,
    OF_LOWER_BOUND,
    QUANTIFICATION,
)
from console.outputs.dicom.common import MANUFACTURER, MODEL, SERIES_NUMBERS, output_uid
from console.outputs.dicom.frames import completed, identification, source_header
from console.outputs.dicom.header import provenance
from console.outputs.dicom.seg import segment_numbers, segmentation_uids, tracking_uid
from console.outputs.dicom.sr_statistics import (
    COVERAGE,
    FLAGGED,
    HIGH_95,
    LOW_95,
    NO,
    OF_FRACTION,
    OF_TREND,
    OF_VOLUME,
    SHARE_AT_DOSE,
    STANDARD_UNCERTAINTY,
    STATED_DOSE,
    STATUS,
    YES,
    Statistic,
)
from console.outputs.error import OutputError
from console.outputs.exported import Exported
from console.outputs.results import results_document
from console.outputs.wording import software_version
from quantify.findings import VolumeStatus
from quantify.model import Role

_STATUS_CODES = {
    VolumeStatus.OK: EVALUABLE,
    VolumeStatus.LOWER_BOUND: LOWER_BOUND,
    VolumeStatus.NOT_EVALUABLE: NOT_EVALUABLE,
}


def measurement_report(exported: Exported) -> Dataset:
    """A measurement group for every fraction, and for every volume after it, with the numbers of ``results.json``.

    A volume's group refers to its segment in `console.outputs.dicom.seg.segmentation` (TID 1411). Doses are cumulative.
    A number that is a lower bound is qualified as one and has no interval; one that was computed with a bound is
    qualified too. What is not known is not there; why, stands as a comment.

    Raises
    ------
    OutputError
        If no fraction has a result or an error.
    """
    document = results_document(exported.snapshot)
    groups: list[Any] = []
    for order, fraction in enumerate(document["fractions"], start=1):
        groups += _fraction_groups(exported, fraction, order)
    if not groups:
        raise OutputError("No fraction has a result yet, so there is nothing to report; export after the first one.")
    report = MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=ObserverContext(
                observer_type=codes.DCM.Device,
                observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                    uid=output_uid(exported, "device"),
                    name=f"Holmia {software_version()}",
                    manufacturer_name=MANUFACTURER,
                    model_name=MODEL,
                ),
            )
        ),
        procedure_reported=MRI,
        imaging_measurements=groups,
    )
    # What the numbers are worth comes before them: nobody reads on after the last one.
    said = [_comment(text) for text in (provenance(exported), _units(document), exported.snapshot.methods) if text]
    *context, measured = report[0].ContentSequence
    report[0].ContentSequence = ContentSequence([*context, *said, measured])
    made = Comprehensive3DSR(
        evidence=_evidence(exported),
        content=report[0],
        series_instance_uid=output_uid(exported, "sr", "series"),
        series_number=SERIES_NUMBERS["sr"],
        sop_instance_uid=output_uid(exported, "sr", "instance"),
        instance_number=1,
        is_complete=exported.snapshot.complete,
        is_final=False,
        **identification(exported, "Holmia dosimetry report, for research use only"),
    )
    return completed(made, exported)


def _fraction_groups(exported: Exported, fraction: Mapping[str, Any], order: int) -> list[Any]:
    """The group of one fraction, then those of its volumes."""
    label = f"{fraction['position']} F{fraction['fraction']}"
    bound = any(
        own["role"] == Role.LIVER and own["status"] == VolumeStatus.LOWER_BOUND for own in fraction["volumes"].values()
    )
    given = {"recovery_ratio": fraction["recovery_interval_95"]}
    common: dict[str, Any] = {
        "time_point_context": TimePointContext(time_point=label, time_point_order=order),
        "algorithm_id": _algorithm(exported),
    }
    whole = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=tracking_uid(exported, label), identifier=label),
        finding_sites=[FindingSite(anatomic_location=LIVER)],
        measurements=[
            _measurement(own, fraction, bound=bound, interval=given.get(own.key))
            for own in OF_FRACTION
            if fraction[own.key] is not None
        ],
        **common,
    )
    said = [f"{label}: {fraction['status']}.", fraction["error"], *fraction["provisional_reasons"], *fraction["notes"]]
    registration = fraction["registration"]
    if registration is not None:
        said += [f"Registration to the reference: {registration['status']}.", registration["message"]]
    groups = [whole]
    _say(whole, said, fraction["acquired_at"])
    numbers = segment_numbers(exported)
    for name, own in fraction["volumes"].items():
        group = _volume_group(exported, numbers.get(name), name, own, fraction, common)
        _say(group, _said_of(own, fraction["trend"].get(name)), fraction["acquired_at"])
        groups.append(group)
    return groups


def _volume_group(
    exported: Exported,
    segment: int | None,
    name: str,
    volume: Mapping[str, Any],
    fraction: Mapping[str, Any],
    common: Mapping[str, Any],
) -> Any:  # noqa: ANN401 - one of two templates of highdicom, which have no common public class
    category, kind, _ = CATEGORY_TYPE_MODIFIER[Role(volume["role"])]
    bound = volume["status"] == VolumeStatus.LOWER_BOUND
    measurements = [
        _measurement(own, volume, bound=bound, interval=_interval(volume, own.key))
        for own in OF_VOLUME
        if volume[own.key] is not None
    ]
    measurements += [_share(SHARE_AT_DOSE, own["share"], own["dose_Gy"], bound=bound) for own in volume["v_x"]]
    settings = exported.snapshot.settings
    if volume["coverage"] is not None and settings is not None:
        of_dose = settings.quantification.statistics.coverage_gy
        measurements.append(_share(COVERAGE, volume["coverage"], of_dose, bound=bound))
    evaluations = [QualitativeEvaluation(name=STATUS, value=_STATUS_CODES[VolumeStatus(volume["status"])])]
    trend = fraction["trend"].get(name)
    if trend is not None:
        measurements += [_measurement(own, trend, bound=bound) for own in OF_TREND if trend[own.key] is not None]
        if trend["flagged"] is not None:
            evaluations.append(QualitativeEvaluation(name=FLAGGED, value=YES if trend["flagged"] else NO))
    arguments: dict[str, Any] = {
        "tracking_identifier": TrackingIdentifier(uid=tracking_uid(exported, name), identifier=name),
        "finding_category": category,
        "finding_type": kind,
        "finding_sites": [FindingSite(anatomic_location=LIVER)],
        "measurements": measurements,
        "qualitative_evaluations": evaluations,
        **common,
    }
    if segment is None:
        return MeasurementsAndQualitativeEvaluations(**arguments)
    _, instance = segmentation_uids(exported)
    reference = ReferencedSegment(
        sop_class_uid=SegmentationStorage,
        sop_instance_uid=instance,
        segment_number=segment,
        source_series=SourceSeriesForSegmentation(exported.reference_images[0].SeriesInstanceUID),
    )
    return VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=reference, **arguments)


def _measurement(
    own: Statistic, values: Mapping[str, Any], *, bound: bool, interval: Mapping[str, float] | list[float] | None = None
) -> Measurement:
    """One number; with its uncertainty and interval where it is no bound."""
    qualifier = None
    if bound and own.of_dose:
        qualifier = LOWER_BOUND if own.at_least else OF_LOWER_BOUND
    measurement = Measurement(
        name=own.name, value=float(values[own.key]), unit=own.unit, derivation=own.derivation, qualifier=qualifier
    )
    if qualifier is None:
        found: dict[Code, float | None] = {}
        if isinstance(interval, Mapping):
            found = {STANDARD_UNCERTAINTY: interval["u"], LOW_95: interval["low_95"], HIGH_95: interval["high_95"]}
        elif interval is not None:
            found = {LOW_95: interval[0], HIGH_95: interval[1]}
        if own.u_key:
            found[STANDARD_UNCERTAINTY] = values[own.u_key]
        for name, value in found.items():
            if value is not None:
                _add_property(measurement, name, value, own.unit)
    return measurement


def _share(name: Code, share: float, dose_gy: float, *, bound: bool) -> Measurement:
    measurement = Measurement(name=name, value=float(share), unit=NO_UNITS, qualifier=LOWER_BOUND if bound else None)
    _add_property(measurement, STATED_DOSE, dose_gy, GRAY)
    return measurement


def _add_property(measurement: Measurement, name: Code, value: float, unit: Code) -> None:
    item = measurement[0]
    if "ContentSequence" not in item:
        item.ContentSequence = ContentSequence()
    item.ContentSequence.append(
        NumContentItem(
            name=name, value=float(value), unit=unit, relationship_type=RelationshipTypeValues.HAS_PROPERTIES
        )
    )


def _interval(volume: Mapping[str, Any], key: str) -> Mapping[str, float] | None:
    found: Mapping[str, float] | None = volume["intervals"].get(key)
    return found


def _said_of(volume: Mapping[str, Any], trend: Mapping[str, Any] | None) -> list[str]:
    """What is said of a volume beside its numbers."""
    said = [volume["message"], volume["warning"]]
    said += [f"{100 * share:.3g} % of the volume: {reason}." for reason, share in volume["reasons"].items()]
    if trend is not None:
        said.append(f"Trend: {trend['status'].replace('_', ' ')}. {trend['message']}".strip())
    return said


def _say(group: Any, texts: Sequence[str | None], acquired_at: str | None) -> None:  # noqa: ANN401 - see above
    """Add comments to a group, and the time that its image was acquired."""
    for text in texts:
        if text:
            group[0].ContentSequence.append(_comment(text))
    if acquired_at is not None:
        group[0].ObservationDateTime = datetime.fromisoformat(acquired_at).strftime("%Y%m%d%H%M%S.%f%z")


def _comment(text: str) -> TextContentItem:
    return TextContentItem(name=codes.DCM.Comment, value=text, relationship_type=RelationshipTypeValues.CONTAINS)


def _units(document: Mapping[str, Any]) -> str:
    """What a reader has to know of the numbers."""
    damage = document["software"]["record_damage"]
    return (
        "Doses, measured activity and recovery are cumulative over all fractions and positions so far; uncertainties "
        "are k = 1, intervals 95 %. A value qualified as lower bound is to be read as that value or more."
        + (f" The treatment file is damaged: {damage}" if damage else "")
    )


def _algorithm(exported: Exported) -> AlgorithmIdentification:
    snapshot = exported.snapshot
    return AlgorithmIdentification(
        name=QUANTIFICATION.meaning,
        version=software_version(),
        parameters=[f"settings SHA-256 {snapshot.settings_sha256}", f"record head {snapshot.head_hash}"],
        manufacturer=MANUFACTURER,
    )


def _evidence(exported: Exported) -> list[Dataset]:
    """Headers of what the report rests on: the segmentation that it refers to, and the reference images."""
    images = []
    for received in exported.reference_images:
        image = Dataset()
        for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
            setattr(image, keyword, received[keyword].value)
        images.append(image)
    first = source_header(exported)  # whose patient and study highdicom asks for
    if not segment_numbers(exported):
        first.SOPClassUID = images[0].SOPClassUID
        return [first, *images[1:]]
    first.SOPClassUID = SegmentationStorage
    first.SeriesInstanceUID, first.SOPInstanceUID = segmentation_uids(exported)
    return [first, *images]
