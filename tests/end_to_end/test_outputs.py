"""What other programs read: lines of `watch`, `results.json`, `results.csv`, and maps where the patient lies."""

from __future__ import annotations

import csv
import gzip
import struct
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - the library's own short name
from conftest import ECHO_TIMES_S, N_SLICES, Imported
from holmia_processes import events_of, listening, map_arrays, quantified, run_well, send, watching
from pydicom import dcmread

from console.demo.phantom_dicom import PhantomTreatment

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("exit_statuses")]

FRACTION_KEYS = {
    *("position", "fraction", "status", "error", "injected_MBq", "cumulative_injected_MBq", "measured_MBq"),
    *("recovery_ratio", "series_instance_uid", "acquired_at", "registration", "volumes", "trend"),
}
VOLUME_KEYS = {
    *("role", "volume_mL", "evaluable_fraction", "status", "dose_mean_Gy", "dose_mean_u_Gy", "dose_sd_Gy", "cv"),
    *("d90_Gy", "d70_Gy", "d50_Gy", "tnr"),
}
TREND_KEYS = {
    *("status", "expected_Gy", "deviation_pct", "flagged", "direction", "prediction_interval_Gy", "significant"),
}
ALARM_KEYS = {"id", "priority", "kind", "text", "position", "fraction", "volume", "raised_at"}


@pytest.fixture(scope="module")
def watched(phantom: PhantomTreatment, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A treatment received over the network, and the lines of `watch` about it."""
    file = tmp_path_factory.mktemp("watched") / "live.holmia"
    # It watches before there is a file.
    with watching(file) as watch, listening(file, phantom.plan_path) as (_, port):
        send(phantom.folder, port)
        assert watch.end() == 0, watch.err
    return file, watch.lines


def test_watch_tells_every_series_once_when_it_is_complete(
    watched: tuple[Path, list[dict[str, Any]]], phantom: PhantomTreatment
) -> None:
    complete = [line for line in watched[1] if line["event"] == "series_complete"]
    holmium = [line for line in complete if line["holmium_refusal"] is None]
    assert [(line["echoes"], line["slices"]) for line in holmium] == [(len(ECHO_TIMES_S), N_SLICES)] * 3
    uids = [
        str(dcmread(next(folder.iterdir()), stop_before_pixels=True).SeriesInstanceUID)
        for folder in (phantom.reference, *phantom.fractions)
    ]
    assert [line["series_instance_uid"] for line in holmium] == uids
    assert all(line["reason"] for line in complete)


def test_watch_tells_every_fraction_with_its_latency(
    watched: tuple[Path, list[dict[str, Any]]], imported: Imported
) -> None:
    results = [line for line in watched[1] if line["event"] == "fraction_result"]
    assert [line["fraction"] for line in results] == [1, 2]
    assert all(0.0 < line["latency_s"] < 60.0 for line in results)
    said = [{k: v for k, v in line.items() if k not in ("event", "latency_s")} for line in results]
    assert said == imported.document["fractions"]


def test_watch_says_nothing_but_its_three_events(watched: tuple[Path, list[dict[str, Any]]]) -> None:
    assert {line["event"] for line in watched[1]} <= {"series_complete", "fraction_result", "alarm"}
    assert all(line.keys() >= ALARM_KEYS for line in watched[1] if line["event"] == "alarm")


def test_watch_of_a_finished_file_says_the_same_as_it_did_live(watched: tuple[Path, list[dict[str, Any]]]) -> None:
    with watching(watched[0]) as again:
        assert again.end() == 0, again.err

    def sayings(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{k: v for k, v in line.items() if k != "latency_s"} for line in lines if line["event"] != "alarm"]

    assert sorted(map(repr, sayings(again.lines))) == sorted(map(repr, sayings(watched[1])))


def test_results_have_the_promised_keys(imported: Imported) -> None:
    document = imported.document
    assert {"schema", "research_use", "treatment", "software", "reference", "fractions", "alarms"} <= document.keys()
    assert document["schema"] == 1
    assert document["research_use"].startswith("For research use only")
    assert document["treatment"]["patient_id"] == "EM1-004"
    assert {"version", "settings_sha256", "record_head"} <= document["software"].keys()
    assert document["software"]["record_head"] == events_of(imported.file)[-1].hash
    assert document["reference"]["series_instance_uid"]
    for fraction in document["fractions"]:
        assert fraction.keys() >= FRACTION_KEYS
        assert fraction["status"] in ("ok", "provisional", "failed")
        assert datetime.fromisoformat(fraction["acquired_at"]).utcoffset() is not None
        assert fraction["registration"].keys() >= {"status", "translation_mm", "rotation_deg", "similarity"}
        assert fraction["registration"]["status"] in ("ok", "warning", "failed", "not_needed")
        assert fraction["volumes"].keys() == {"Tumour 1", "Tumour 2", "Liver", "Healthy liver"}
        for volume in fraction["volumes"].values():
            assert volume.keys() >= VOLUME_KEYS
            assert volume["status"] in ("ok", "lower_bound", "not_evaluable")
        for point in fraction["trend"].values():
            assert point.keys() >= TREND_KEYS


def test_activities_accumulate_and_doses_grow(imported: Imported, phantom: PhantomTreatment) -> None:
    first, second = imported.document["fractions"]
    given = [injection.activity_mbq for injection in phantom.treatment.injections]
    assert [first["injected_MBq"], second["injected_MBq"]] == pytest.approx(given)
    assert second["cumulative_injected_MBq"] > first["cumulative_injected_MBq"] == pytest.approx(given[0])
    assert second["recovery_ratio"] == pytest.approx(second["measured_MBq"] / second["cumulative_injected_MBq"])
    for name in ("Tumour 1", "Tumour 2", "Healthy liver"):
        volume = second["volumes"][name]
        assert volume["dose_mean_Gy"] > first["volumes"][name]["dose_mean_Gy"] > 0
        assert volume["d90_Gy"] < volume["d70_Gy"] < volume["d50_Gy"]


def test_alarms_are_the_same_in_every_run(imported: Imported, tmp_path: Path) -> None:
    overridden = quantified(imported.file, tmp_path / "one", "--set", "limits[0].dose_Gy=1.0")
    again = quantified(imported.file, tmp_path / "two", "--set", "limits[0].dose_Gy=1.0")
    assert overridden["alarms"] == again["alarms"]
    limits = [alarm for alarm in overridden["alarms"] if alarm["kind"] == "limit"]
    assert [(a["priority"], a["volume"], a["fraction"]) for a in limits] == [
        ("high", "Healthy liver", 1),
        ("high", "Healthy liver", 2),
    ]
    assert all(alarm.keys() >= ALARM_KEYS for alarm in overridden["alarms"])


def test_a_what_if_changes_the_result_and_not_the_file(imported: Imported, tmp_path: Path) -> None:
    before = imported.file.read_bytes()
    denser = quantified(imported.file, tmp_path / "out", "--set", "quantification.tissue_density_g_per_mL=2.12")
    assert imported.file.read_bytes() == before
    assert denser["software"]["settings_sha256"] != imported.document["software"]["settings_sha256"]
    for one, other in zip(imported.document["fractions"], denser["fractions"], strict=True):
        for name in one["volumes"]:
            halved = one["volumes"][name]["dose_mean_Gy"] / 2.0
            assert other["volumes"][name]["dose_mean_Gy"] == pytest.approx(halved, rel=1e-5)


def test_the_table_holds_the_same_numbers(imported: Imported) -> None:
    with (imported.out / "results.csv").open(encoding="utf-8") as stream:
        assert "# For research use only" in stream.readline()
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2 * 4
    for row in rows:
        volume = imported.document["fractions"][int(row["fraction"]) - 1]["volumes"][row["volume"]]
        assert float(row["dose_mean_Gy"]) == volume["dose_mean_Gy"]


def test_maps_lie_on_the_reference_in_lps(imported: Imported, phantom: PhantomTreatment) -> None:
    names = sorted(path.name for path in (imported.out / "maps").iterdir())
    assert names == sorted(f"{m}_RHA_f{n}.nii.gz" for m in ("r2star", "holmium", "dose", "reason") for n in (1, 2))
    headers = [dcmread(path, stop_before_pixels=True) for path in sorted(phantom.reference.iterdir())]
    headers = [ds for ds in headers if float(ds.EchoTime) == ECHO_TIMES_S[0] * 1e3]
    along = np.array(headers[0].ImageOrientationPatient, dtype=float)
    normal = np.cross(along[:3], along[3:])
    headers.sort(key=lambda ds: float(np.dot(normal, np.array(ds.ImagePositionPatient, dtype=float))))
    rows, columns = float(headers[0].PixelSpacing[0]), float(headers[0].PixelSpacing[1])
    gap = np.subtract(headers[1].ImagePositionPatient, headers[0].ImagePositionPatient).astype(float)
    for name in names:
        image = sitk.ReadImage(str(imported.out / "maps" / name))
        assert image.GetSize() == (headers[0].Columns, headers[0].Rows, len(headers))
        assert image.GetSpacing() == pytest.approx((columns, rows, float(np.linalg.norm(gap))), abs=1e-4)
        for number, ds in enumerate(headers):
            corner = np.array(ds.ImagePositionPatient, dtype=float)
            assert image.TransformIndexToPhysicalPoint((0, 0, number)) == pytest.approx(corner, abs=1e-3)
            inside = corner + 7 * columns * along[:3] + 5 * rows * along[3:]
            assert image.TransformIndexToPhysicalPoint((7, 5, number)) == pytest.approx(inside, abs=1e-3)


def test_maps_are_stored_in_ras_as_nifti_demands(imported: Imported) -> None:
    path = imported.out / "maps" / "dose_RHA_f1.nii.gz"
    image = sitk.ReadImage(str(path))
    data = gzip.decompress(path.read_bytes())
    qform, sform = struct.unpack_from("<2h", data, 252)
    assert qform > 0
    assert sform > 0
    affine = np.array(struct.unpack_from("<12f", data, 280)).reshape(3, 4)
    x, y, z = image.GetOrigin()
    assert affine[:, 3] == pytest.approx((-x, -y, z), abs=1e-3)


def test_a_voxel_without_value_is_nan_with_a_reason(imported: Imported) -> None:
    maps = map_arrays(imported.out)
    for fraction in (1, 2):
        reason = maps[f"reason_RHA_f{fraction}.nii.gz"]
        for name in ("dose", "holmium", "r2star"):
            values = maps[f"{name}_RHA_f{fraction}.nii.gz"]
            assert np.isnan(values).any()
            assert np.all(reason[np.isnan(values)] != 0)
            assert np.all(np.isfinite(values[reason == 0]))


def test_maps_come_without_structures_too(phantom: PhantomTreatment, tmp_path: Path) -> None:
    file, out = tmp_path / "maps.holmia", tmp_path / "out"
    run_well("import", phantom.reference, *phantom.fractions, "-o", file, "--plan", phantom.plan_path)
    document = quantified(file, out)
    assert len(list((out / "maps").iterdir())) == 8
    assert [f["status"] for f in document["fractions"]] == ["ok", "ok"]
    assert "structures" in {alarm["kind"] for alarm in document["alarms"]} or document["fractions"][0]["volumes"] == {}
