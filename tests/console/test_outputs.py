"""Outputs: results.json as agreed, a table, maps in the patient's place, and never a half-written file."""

from __future__ import annotations

import csv
import errno
import gzip
import hashlib
import io
import json
import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from config.plan import plan_from_mapping
from console.outputs.error import OutputError
from console.outputs.folder import write_outputs
from console.outputs.nifti import map_arrays, map_hashes
from console.outputs.results import alarm_document, fraction_document, results_csv, results_document, results_json
from console.outputs.wording import RESEARCH_USE
from console.snapshot import RaisedAlarm, Snapshot
from quantify.findings import (
    Alarm,
    FractionMaps,
    FractionResult,
    FractionStatus,
    Priority,
    Registration,
    RegistrationStatus,
    TrendPoint,
    TrendStatus,
    VolumeStatistics,
    VolumeStatus,
)
from quantify.model import Grid, ParametricMap, Reason, Role

NINE_UTC = datetime(2026, 3, 4, 9, 12, tzinfo=UTC)
ZONE = ZoneInfo("Europe/Amsterdam")
TILT = np.radians(15.0)
AFFINE = np.eye(4)
AFFINE[:3, :3] = np.array([[0, 0, 1], [-np.sin(TILT), np.cos(TILT), 0], [np.cos(TILT), np.sin(TILT), 0]]) * (
    5.0,
    3.0,
    2.0,
)
AFFINE[:3, 3] = (-90.0, -70.0, -40.0)
GRID = Grid(shape=(4, 5, 6), affine_lps_mm=AFFINE, frame_of_reference_uid="1.2.3")
PLAN = plan_from_mapping(
    {
        "schema": 1,
        "time_zone": "Europe/Amsterdam",
        "patient": {"id": "EM1-004"},
        "microspheres": {
            "holmium_fraction": 0.195,
            "specific_activity_MBq_per_mg": 12.0,
            "reference_time": "2026-03-04T10:00:00",
        },
        "calibration": {"relaxivity_per_s_per_mg_mL": 218.0, "field_T": 3.0, "holmium_fraction": 0.195},
        "injections": [{"position": "RHA", "fraction": 1, "planned_MBq": 400.0}],
    },
    site_time_zone="Europe/Amsterdam",
)


def parametric(quantity: str, seed: int) -> ParametricMap:
    values = np.random.default_rng(seed).normal(50.0, 5.0, GRID.shape).astype(np.float32)
    reason = np.zeros(GRID.shape, dtype=np.uint8)
    values[0, 0, 0], reason[0, 0, 0] = np.nan, Reason.NO_SIGNAL
    return ParametricMap(values=values, reason=reason, grid=GRID, quantity=quantity, unit="x")


MAPS = FractionMaps(
    r2star=parametric("R2*", 1), holmium=parametric("Ho", 2), activity=parametric("A", 3), dose=parametric("D", 4)
)
TUMOUR = VolumeStatistics(
    name="Tumour 1",
    role=Role.TUMOUR,
    status=VolumeStatus.OK,
    volume_ml=33.4,
    evaluable_fraction=0.99,
    dose_mean_gy=13.1,
    dose_mean_u_gy=1.2,
    dose_sd_gy=4.0,
    cv=0.31,
    d90_gy=8.0,
    d70_gy=11.0,
    d50_gy=13.0,
    tnr=3.1,
    activity_mbq=29.0,
)
UNKNOWN = VolumeStatistics(
    name="Liver", role=Role.LIVER, status=VolumeStatus.NOT_EVALUABLE, volume_ml=1800.0, evaluable_fraction=0.2
)
GOOD = FractionResult(
    position="RHA",
    fraction=1,
    status=FractionStatus.OK,
    injected_mbq=420.0,
    position_injected_mbq=420.0,
    cumulative_injected_mbq=420.0,
    measured_mbq=431.0,
    measured_u_mbq=40.0,
    recovery_ratio=1.026,
    recovery_u=0.1,
    series_instance_uid="1.2.840.1",
    acquired_at=NINE_UTC,
    registration=Registration(
        status=RegistrationStatus.OK,
        translation_mm=(0.1, 0.4, -1.2),
        rotation_deg=(0.0, 0.2, 0.1),
        similarity=0.98,
    ),
    volumes={"Tumour 1": TUMOUR, "Liver": UNKNOWN},
    trend={
        "Tumour 1": TrendPoint(
            volume="Tumour 1",
            status=TrendStatus.TESTED,
            expected_gy=14.0,
            deviation_pct=-6.4,
            deviation_gy=-0.9,
            flagged=False,
            direction="below",
            prediction_interval_gy=(12.0, 16.0),
            significant=False,
        ),
        "Liver": TrendPoint(volume="Liver", status=TrendStatus.TOO_FEW_POINTS),
    },
    maps=MAPS,
)
FAILED = FractionResult(
    position="RHA", fraction=2, status=FractionStatus.FAILED, error="its series is not complete", injected_mbq=1200.0
)
ALARM = Alarm(
    id="0123456789abcdef",
    priority=Priority.LOW,
    kind="trend_deviation",
    text="Tumour 1 −16 %",
    raised_at=NINE_UTC,
    position="RHA",
    fraction=4,
    volume="Tumour 1",
)
SNAPSHOT = Snapshot(
    head_seq=9,
    head_hash="abc",
    plan=PLAN,
    settings_sha256="def",
    results=(GOOD, FAILED),
    alarms=(RaisedAlarm(alarm=ALARM), RaisedAlarm(alarm=replace(ALARM, id="gone"), active=False)),
)


def test_the_document_has_exactly_the_keys_that_were_agreed():
    document = results_document(SNAPSHOT)
    assert list(document) == [
        "schema",
        "research_use",
        "treatment",
        "software",
        "reference",
        "methods",
        "structures",
        "limits",
        "fractions",
        "alarms",
        "state",
        "plan",
        "settings",
        "display",
        "activity",
        "injections",
        "images",
        "volumes",
        "record",
    ]
    assert document["schema"] == 1
    assert document["research_use"] == RESEARCH_USE
    assert document["treatment"] == {"patient_id": "EM1-004"}
    assert set(document["software"]) == {"version", "settings_sha256", "record_head", "record_damage"}
    assert document["software"]["record_head"] == "abc"
    assert document["reference"] == {"series_instance_uid": None}
    fraction = document["fractions"][0]
    assert set(fraction) >= {
        "position",
        "fraction",
        "status",
        "error",
        "injected_MBq",
        "cumulative_injected_MBq",
        "measured_MBq",
        "recovery_ratio",
        "series_instance_uid",
        "acquired_at",
        "registration",
        "volumes",
        "trend",
    }
    beyond = {
        "position_injected_MBq",
        "provisional_reasons",
        "measured_u_MBq",
        "recovery_ratio_u",
        "recovery_interval_95",
        "injected_u_MBq",
    }
    beyond |= {"notes", "scintigraphic", "outlook"}
    assert beyond <= set(fraction)
    assert set(fraction["registration"]) >= {"status", "translation_mm", "rotation_deg", "similarity"}
    agreed = {"role", "volume_mL", "evaluable_fraction", "status", "dose_mean_Gy", "dose_mean_u_Gy", "dose_sd_Gy", "cv"}
    agreed |= {"d90_Gy", "d70_Gy", "d50_Gy", "tnr"}
    beyond = {"message", "warning", "activity_MBq", "activity_expanded_MBq", "partial_volume_Gy", "gain_Gy"}
    beyond |= {"dose_normalised_Gy", "coverage", "bed_Gy", "reasons", "v_x", "cold", "dvh", "intervals", "budget"}
    assert set(fraction["volumes"]["Tumour 1"]) == agreed | beyond
    agreed = {"status", "expected_Gy", "deviation_pct", "flagged", "direction", "prediction_interval_Gy", "significant"}
    beyond = {
        "message",
        "deviation_Gy",
        "expected_gain_Gy",
        "gain_Gy",
        "saturation",
        "slope_Gy_per_MBq",
        "intercept_Gy",
    }
    assert set(fraction["trend"]["Tumour 1"]) == agreed | beyond
    assert set(document["alarms"][0]) == {
        "id",
        "priority",
        "kind",
        "text",
        "position",
        "fraction",
        "volume",
        "raised_at",
    }


def test_unknown_is_null_and_a_failed_fraction_has_an_error_and_no_numbers():
    good, failed = results_document(SNAPSHOT)["fractions"]
    liver = good["volumes"]["Liver"]
    assert liver["dose_mean_Gy"] is liver["d70_Gy"] is liver["tnr"] is liver["cv"] is None
    assert good["trend"]["Liver"]["flagged"] is None
    assert failed["error"] == "its series is not complete"
    assert failed["volumes"] == failed["trend"] == {}
    assert failed["registration"] is failed["measured_MBq"] is failed["acquired_at"] is None


def test_times_carry_the_treatments_offset():
    assert fraction_document(GOOD, ZONE)["acquired_at"] == "2026-03-04T10:12:00+01:00"
    assert alarm_document(ALARM, ZONE)["raised_at"] == "2026-03-04T10:12:00+01:00"


def test_the_text_is_strict_json_and_refuses_nan():
    text = results_json(SNAPSHOT)
    assert json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in results.json")) == results_document(
        SNAPSHOT
    )
    spoiled = replace(SNAPSHOT, results=(replace(GOOD, measured_mbq=float("nan")),))
    with pytest.raises(ValueError, match="JSON"):
        results_json(spoiled)


def test_only_alarms_whose_cause_lasts_are_written():
    assert [alarm["id"] for alarm in results_document(SNAPSHOT)["alarms"]] == ["0123456789abcdef"]


def test_the_table_has_a_row_for_every_fraction_and_volume():
    rows = list(csv.reader(io.StringIO(results_csv(SNAPSHOT))))
    assert rows[0][0] == f"# {RESEARCH_USE}"
    assert rows[0][1].endswith(", settings def, record abc")
    header, body = rows[1], rows[2:]
    assert len(body) == 2 + 1, "two volumes of the first fraction, and the failed one"
    first = dict(zip(header, body[0], strict=True))
    assert (first["volume"], first["dose_mean_Gy"], first["trend_deviation_pct"]) == ("Tumour 1", "13.1", "-6.4")
    assert first["trend_prediction_interval_Gy"] == "12 16"
    assert dict(zip(header, body[1], strict=True))["dose_mean_Gy"] == "", "unknown is empty, never 0"
    assert dict(zip(header, body[2], strict=False))["error"] == "its series is not complete"


def test_a_table_of_a_what_if_says_so_in_its_first_line():
    tried = replace(SNAPSHOT, overrides={"quantification.fit": "arlo"})
    first, as_recorded = (results_csv(own).splitlines()[0] for own in (tried, SNAPSHOT))
    assert "A WHAT-IF, NOT THE TREATMENT AS RECORDED: quantification.fit = arlo" in first
    assert "WHAT-IF" not in as_recorded


def test_an_empty_treatment_can_be_written():
    document = results_document(Snapshot())
    assert document["fractions"] == document["alarms"] == []
    assert len(results_csv(Snapshot()).splitlines()) == 2
    json.loads(results_json(Snapshot()))


def test_outputs_lie_where_they_should_and_nothing_else(tmp_path):
    seen: list[str] = []
    write_outputs(SNAPSHOT, tmp_path / "deep" / "out", progress=seen.append)
    found = sorted(str(p.relative_to(tmp_path / "deep" / "out")) for p in (tmp_path / "deep").rglob("*") if p.is_file())
    names = [f"maps/{name}_RHA_f1.nii.gz" for name in ("dose", "holmium", "r2star", "reason")]
    assert found == sorted([*names, "methods.txt", "results.csv", "results.json"])
    assert sorted(seen) == sorted(name.removeprefix("maps/") for name in names)


def raw_voxels(path: Path) -> np.ndarray:
    """The floats as they lie in the file: ITK's reader turns NaN into 0."""
    content = gzip.decompress(path.read_bytes())
    (offset,) = struct.unpack("<f", content[108:112])
    return np.frombuffer(content[int(offset) :], dtype="<f4").reshape(GRID.shape)


def test_maps_lie_in_the_patient_as_the_grid_says(tmp_path):
    write_outputs(SNAPSHOT, tmp_path)
    image = sitk.ReadImage(str(tmp_path / "maps" / "dose_RHA_f1.nii.gz"))
    assert image.GetSize() == GRID.shape[::-1]
    for index in ((0, 0, 0), (3, 4, 5), (1, 0, 2)):
        expected = (AFFINE @ (*index, 1.0))[:3]
        assert image.TransformIndexToPhysicalPoint(index[::-1]) == pytest.approx(expected, abs=1e-3)
    assert image.GetPixelID() == sitk.sitkFloat32
    np.testing.assert_array_equal(raw_voxels(tmp_path / "maps" / "dose_RHA_f1.nii.gz"), MAPS.dose.values)
    assert b"for research use only" in gzip.decompress((tmp_path / "maps" / "dose_RHA_f1.nii.gz").read_bytes())[148:228]
    reason = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "maps" / "reason_RHA_f1.nii.gz")))
    assert reason.dtype == np.uint8
    np.testing.assert_array_equal(reason, MAPS.dose.reason)


def test_the_header_of_a_map_is_in_ras(tmp_path):
    """NIfTI's own axes are RAS: the first two rows of the affine have the other sign."""
    write_outputs(SNAPSHOT, tmp_path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(tmp_path / "maps" / "dose_RHA_f1.nii.gz"))
    reader.ReadImageInformation()
    rows = [[float(v) for v in reader.GetMetaData(f"srow_{axis}").split()] for axis in "xyz"]
    columns_first = AFFINE[:3, [2, 1, 0, 3]]
    assert np.array(rows) == pytest.approx(np.diag([-1, -1, 1]) @ columns_first, abs=1e-3)


def test_hashes_are_of_the_bytes_of_each_map():
    hashes = map_hashes(GOOD)
    assert list(hashes) == ["r2star", "holmium", "dose", "reason"]
    assert hashes["dose"] == hashlib.sha256(MAPS.dose.values.tobytes()).hexdigest()
    changed = MAPS.dose.values.copy()
    changed[1, 1, 1] = np.nextafter(changed[1, 1, 1], np.float32(np.inf))
    other = replace(GOOD, maps=replace(MAPS, dose=replace(MAPS.dose, values=changed)))
    assert map_hashes(other)["dose"] != hashes["dose"]
    assert map_hashes(other)["r2star"] == hashes["r2star"]
    assert map_hashes(FAILED) == map_arrays(FAILED) == {}


def test_a_failure_leaves_the_last_good_files_and_no_half_written_ones(tmp_path, monkeypatch):
    write_outputs(SNAPSHOT, tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def breaks(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "disk is full")

    later = replace(SNAPSHOT, results=(replace(GOOD, acquired_at=NINE_UTC + timedelta(hours=1)),))
    monkeypatch.setattr(Path, "write_bytes", breaks)
    with pytest.raises(OutputError, match=r"The outputs cannot be written to .*: disk is full; choose another --out"):
        write_outputs(later, tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"The outputs cannot be written to .*file.*; choose another --out"):
        write_outputs(SNAPSHOT, tmp_path / "file" / "out")


def test_the_page_on_results_names_every_key():
    page = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
    document = results_document(SNAPSHOT)
    fraction = document["fractions"][0]
    volume, trend = fraction["volumes"]["Tumour 1"], fraction["trend"]["Tumour 1"]
    missing = [key for part in (document, fraction, volume, trend) for key in part if f"`{key}`" not in page]
    assert missing == []


def test_the_maps_of_a_fraction_that_failed_since_do_not_stay(tmp_path):
    write_outputs(SNAPSHOT, tmp_path)
    (tmp_path / "maps" / "notes.txt").write_text("the reader's own", encoding="utf-8")
    write_outputs(replace(SNAPSHOT, results=(replace(GOOD, maps=None, status=FractionStatus.FAILED),)), tmp_path)
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["notes.txt"]
