"""The structured report states the numbers of results.json, and says of each what it is worth."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import treated as by_hand
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from written import enhanced, errors_of_dciodvfy, file_bytes

from console.outputs.dicom.seg import segmentation
from console.outputs.dicom.sr import measurement_report
from console.outputs.dicom.sr_statistics import COVERAGE, OF_FRACTION, OF_TREND, OF_VOLUME, SHARE_AT_DOSE, Statistic
from console.outputs.error import OutputError
from console.outputs.exported import Exported
from console.outputs.results import results_document
from quantify.findings import FractionStatus, VolumeStatus


@pytest.fixture(scope="module")
def exported():
    """The fractions 1 and 4: one provisional, with one volume only to be quick; one with a tested trend."""
    whole = by_hand.treated(oblique=True)
    first, _, _, last = whole.snapshot.results
    first = replace(first, volumes={"Liver": first.volumes["Liver"]}, trend={})
    return replace(whole, snapshot=replace(whole.snapshot, results=(first, last)))


@pytest.fixture(scope="module")
def report(exported):
    return dcmread(DicomBytesIO(file_bytes(measurement_report(exported))))


def meaning(item: Dataset) -> str:
    return item.ConceptNameCodeSequence[0].CodeMeaning


def children(item: Dataset, meant: str | None = None, kind: str | None = None) -> list[Dataset]:
    return [
        child
        for child in item.get("ContentSequence", [])
        if meant in (None, meaning(child)) and kind in (None, child.ValueType)
    ]


def text_of(item: Dataset, meant: str) -> str:
    return children(item, meant)[0].TextValue


def groups_of(report: Dataset) -> dict[tuple[str, str], Dataset]:
    """By (time point, tracking identifier)."""
    (measured,) = children(report, "Imaging Measurements")
    return {
        (text_of(group, "Time Point"), text_of(group, "Tracking Identifier")): group
        for group in children(measured, "Measurement Group")
    }


def numbers(group: Dataset, own: Statistic) -> list[Dataset]:
    """What a group states under the name and derivation of a statistic."""
    derivation = None if own.derivation is None else own.derivation.meaning
    return [
        item
        for item in children(group, own.name.meaning, "NUM")
        if [d.ConceptCodeSequence[0].CodeMeaning for d in children(item, "Derivation")]
        == ([] if derivation is None else [derivation])
    ]


def value(item: Dataset) -> tuple[float, str]:
    (measured,) = item.MeasuredValueSequence
    assert float(measured.NumericValue) == pytest.approx(measured.FloatingPointValue, rel=1e-12)
    return measured.FloatingPointValue, measured.MeasurementUnitsCodeSequence[0].CodeValue


def unit_of_key(key: str) -> str:
    for ending, unit in (("_Gy", "Gy"), ("_MBq", "MBq"), ("_mL", "mL"), ("_pct", "%")):
        if key.endswith(ending):
            return unit
    return "1"


def of_the_liver_alone(exported: Exported) -> Exported:
    """One fraction and one volume: quick to report."""
    return replace(exported, snapshot=replace(exported.snapshot, results=exported.snapshot.results[:1]))


def test_every_number_is_that_of_results_json_and_none_is_left_out(exported, report):
    document, groups = results_document(exported.snapshot), groups_of(report)
    checked = 0
    for fraction in document["fractions"]:
        label = f"{fraction['position']} F{fraction['fraction']}"
        sources = [(groups[label, label], OF_FRACTION, fraction)]
        for name, own in fraction["volumes"].items():
            group = groups[label, name]
            sources += [(group, OF_VOLUME, own), (group, OF_TREND, fraction["trend"].get(name, {}))]
            stated = [(value(i)[0], value(children(i, kind="NUM")[0])) for i in children(group, SHARE_AT_DOSE.meaning)]
            assert stated == [(v["share"], (v["dose_Gy"], "Gy")) for v in own["v_x"]]
            (*coverage,) = children(group, COVERAGE.meaning)
            assert [value(i)[0] for i in coverage] == ([] if own["coverage"] is None else [own["coverage"]])
        for group, statistics, values in sources:
            for own in statistics:
                known = values.get(own.key) is not None
                found = [value(item) for item in numbers(group, own)]
                assert found == ([(values[own.key], unit_of_key(own.key))] if known else [])
                checked += known
    assert checked > 60


def test_no_number_of_a_volume_is_forgotten(exported):
    """What results.json gains, the report has to state, or to leave out on purpose."""
    volume = results_document(exported.snapshot)["fractions"][1]["volumes"]["Tumour 1"]
    numeric = {key for key in volume if key[0] != "_" and unit_of_key(key) != "1"} | {"cv", "tnr", "evaluable_fraction"}
    assert numeric - {own.key for own in OF_VOLUME} <= {"dose_mean_u_Gy", "dose_mean_u_repeat_Gy", "u_repeat_Gy"}


def test_a_mean_carries_its_uncertainty_and_interval(exported, report):
    own = results_document(exported.snapshot)["fractions"][1]["volumes"]["Healthy liver"]
    mean = next(s for s in OF_VOLUME if s.key == "dose_mean_Gy")
    (item,) = numbers(groups_of(report)["RHA F4", "Healthy liver"], mean)
    assert "NumericValueQualifierCodeSequence" not in item
    stated = {meaning(child): value(child) for child in children(item, kind="NUM")}
    assert stated == {
        "Standard uncertainty (k = 1)": (own["dose_mean_u_Gy"], "Gy"),
        "Lower end of the 95 % interval": (own["intervals"]["dose_mean_Gy"]["low_95"], "Gy"),
        "Upper end of the 95 % interval": (own["intervals"]["dose_mean_Gy"]["high_95"], "Gy"),
    }


def test_a_lower_bound_is_qualified_and_has_no_interval(report):
    group = groups_of(report)["RHA F4", "Tumour 1"]
    for own in OF_VOLUME:
        for item in numbers(group, own):
            said = [q.CodeValue for q in item.get("NumericValueQualifierCodeSequence", [])]
            assert said == ([] if not own.of_dose else ["LOWER_BOUND"] if own.at_least else ["OF_LOWER_BOUND"])
            assert not said or not children(item, kind="NUM")
    (status,) = [i for i in children(group, kind="CODE") if "can be used" in meaning(i)]
    assert status.ConceptCodeSequence[0].CodeValue == "LOWER_BOUND"


def test_what_is_not_evaluable_has_no_dose_and_says_why(exported):
    result = exported.snapshot.results[0]
    liver = result.volumes["Liver"]
    why = "more than half of it lies outside the field of view"
    gone = {
        own.name: None
        for own in liver.__dataclass_fields__.values()
        if own.name.endswith(("_gy", "_mbq")) or own.name in ("cv", "dvh", "coverage", "tnr")
    }
    lost = replace(liver, status=VolumeStatus.NOT_EVALUABLE, message=why, intervals={}, v_x=(), **gone)
    failed = replace(
        result, fraction=2, status=FractionStatus.FAILED, error="no echo arrived", volumes={}, trend={}, maps=None
    )
    results = (replace(result, volumes={"Liver": lost}, trend={}), failed)
    made = measurement_report(replace(exported, snapshot=replace(exported.snapshot, results=results)))
    groups = groups_of(made)
    stated = {meaning(item) for item in children(groups["RHA F1", "Liver"], kind="NUM")}
    assert stated == {"Time Point Order", "Volume", "Share of the volume in which the dose could be found"}
    assert why in [item.TextValue for item in children(groups["RHA F1", "Liver"], "Comment")]
    assert "no echo arrived" in [item.TextValue for item in children(groups["RHA F2", "RHA F2"], "Comment")]


def test_every_group_refers_to_the_segment_of_its_volume(exported, report):
    made = segmentation(exported)
    labels = {int(s.SegmentNumber): (s.SegmentLabel, s.TrackingUID) for s in made.SegmentSequence}
    groups = groups_of(report)
    for (label, name), group in groups.items():
        if label != name:
            (image,) = children(group, "Referenced Segment")
            (item,) = image.ReferencedSOPSequence
            assert item.ReferencedSOPInstanceUID == made.SOPInstanceUID
            tracked = children(group, "Tracking Unique Identifier")[0].UID
            assert labels[item.ReferencedSegmentNumber] == (name, tracked)
    assert len(groups) == (1 + 1) + (1 + 4)
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert made.SeriesInstanceUID in [series.SeriesInstanceUID for series in evidence]


def test_it_says_what_made_it_and_that_it_is_for_research(exported, report):
    said = " ".join(item.TextValue for item in children(report, "Comment"))
    for text in ("For research use only", exported.snapshot.settings_sha256, exported.snapshot.head_hash, "cumulative"):
        assert text in said
    assert exported.snapshot.methods in said
    assert report.VerificationFlag == "UNVERIFIED"
    assert "the residual has not been measured" in [
        item.TextValue for item in children(groups_of(report)["RHA F1", "RHA F1"], "Comment")
    ]


def test_dciodvfy_and_dcmtk_find_no_error(report, tmp_path: Path):
    assert errors_of_dciodvfy(report, tmp_path) == []
    path = tmp_path / "judged.dcm"
    for tool in ("dcmpschk", "dsrdump"):
        done = subprocess.run([tool, str(path)], capture_output=True, text=True, check=True)
        assert "E: " not in done.stdout + done.stderr


def test_enhanced_images_and_no_volumes_make_a_sound_report(exported, tmp_path):
    """Statistics without a volume on the grid: the groups refer to no segment."""
    small = of_the_liver_alone(exported)
    bare = replace(enhanced(exported), snapshot=replace(small.snapshot, volumes=()))
    made = measurement_report(bare)
    assert errors_of_dciodvfy(made, tmp_path) == []
    assert not children(groups_of(made)["RHA F1", "Liver"], "Referenced Segment")


def test_the_same_export_has_the_same_bytes(exported):
    small = of_the_liver_alone(exported)
    assert file_bytes(measurement_report(small)) == file_bytes(measurement_report(small))


def test_nothing_to_report_is_said(exported):
    with pytest.raises(OutputError, match="nothing to report"):
        measurement_report(replace(exported, snapshot=replace(exported.snapshot, results=())))
