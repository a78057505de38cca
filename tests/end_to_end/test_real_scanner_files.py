"""Files of real scanners, sent by DCMTK's `storescu`: stored, assembled, fitted; or refused with the reason."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - the library's own short name
from holmia_processes import (
    PATIENCE_S,
    events_of,
    listening,
    map_arrays,
    quantified,
    run,
    run_well,
    stored_uids,
    watching,
)
from pydicom import dcmread

Received = tuple[Path, list[dict[str, Any]]]

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("real_files")]

FIVE_ML_RADIUS_MM = 10.0 * (3.0 * 5.0 / (4.0 * math.pi)) ** (1.0 / 3.0)

PLAN = """
schema = 1
time_zone = "Europe/Amsterdam"

[patient]
id = "{patient_id}"

[microspheres]
holmium_fraction = 0.195
specific_activity_MBq_per_mg = 12.0
reference_time = {time}

[calibration]
relaxivity_per_s_per_mg_mL = 218.0
field_T = 3.0
holmium_fraction = 0.195

[structures]
liver = "Liver"
tumours = []

[[injections]]
position = "RHA"
fraction = 1
planned_MBq = 500.0
activity_MBq = 480.0
time = {time}
"""


def storescu(folder: Path, port: int) -> None:
    """Send a folder as a hospital's own tools would."""
    tool = shutil.which("storescu")
    if tool is None:
        pytest.skip("DCMTK's storescu is not installed")
    command = [tool, "-aet", "SCANNER", "-aec", "HOLMIA", "+sd", "+r", "127.0.0.1", str(port), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def imprinted(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holmium in a sphere of 5 mL on the Siemens series, by `holmia phantom --from`."""
    folder = tmp_path_factory.mktemp("imprint") / "treatment"
    source = real_data / "siemens_gre_6echo"
    run_well("phantom", folder, "--from", source, "--radius", f"{FIVE_ML_RADIUS_MM:.4f}")
    return folder


@pytest.fixture(scope="module")
def received(real_data: Path, imprinted: Path, tmp_path_factory: pytest.TempPathFactory) -> Received:
    """The site's series with its phase images, then the imprinted one, through the network; and what `watch` said."""
    file = tmp_path_factory.mktemp("received") / "site.holmia"
    with listening(file, imprinted / "plan.toml") as (_, port), watching(file) as watch:
        storescu(real_data / "siemens_gre_6echo", port)
        storescu(imprinted / "structures", port)
        storescu(imprinted / "fraction1", port)
        assert watch.end() == 0, watch.err
    return file, watch.lines


def test_every_real_instance_is_stored(received: Received, real_data: Path) -> None:
    sent = {
        str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)
        for path in (real_data / "siemens_gre_6echo").glob("*.dcm")
    }
    assert len(sent) == 120
    assert sent <= stored_uids(received[0])
    assert not [e for e in events_of(received[0]) if e.kind in ("instance_refused", "instance_quarantined")]


def test_magnitude_is_assembled_and_phase_left_out(received: Received, real_data: Path) -> None:
    first = dcmread(real_data / "siemens_gre_6echo" / "001_000001_000001.dcm", stop_before_pixels=True)
    complete = [line for line in received[1] if line["event"] == "series_complete" and line["holmium_refusal"] is None]
    assert [(line["echoes"], line["slices"]) for line in complete] == [(6, 10), (6, 10)]
    assert complete[0]["series_instance_uid"] == first.SeriesInstanceUID


def test_imprinted_holmium_comes_back_within_five_percent(received: Received, imprinted: Path, tmp_path: Path) -> None:
    truth = json.loads((imprinted / "truth.json").read_text())
    assert truth["volume_mL"] == pytest.approx(5.0, rel=0.001)
    document = quantified(received[0], tmp_path / "out")
    volume = document["fractions"][0]["volumes"]["Tumour 1"]
    assert volume["status"] == "ok"
    assert volume["volume_mL"] == pytest.approx(truth["volume_mL"], rel=0.05)
    assert volume["dose_mean_Gy"] == pytest.approx(truth["dose_mean_Gy"], rel=0.05)


def test_imprinted_folder_gives_the_same_number(received: Received, imprinted: Path, tmp_path: Path) -> None:
    from_folder = quantified(imprinted, tmp_path / "folder", "--plan", imprinted / "plan.toml")
    listened = quantified(received[0], tmp_path / "listened")
    assert from_folder["fractions"] == listened["fractions"]


def test_the_real_series_is_fitted(received: Received, imprinted: Path, tmp_path: Path) -> None:
    quantified(received[0], tmp_path / "out")
    r2star = sitk.ReadImage(str(tmp_path / "out" / "maps" / "r2star_RHA_f1.nii.gz"))
    truth = json.loads((imprinted / "truth.json").read_text())
    middle = r2star.TransformPhysicalPointToIndex(truth["centre_mm"])
    values = map_arrays(tmp_path / "out")["r2star_RHA_f1.nii.gz"]
    assert values.shape == (10, 76, 128)
    evaluable = values[np.isfinite(values)]
    assert evaluable.size > 5000  # the sphere phantom fills a good part of the slab
    assert 0.0 < np.median(evaluable) < 60.0  # of agar or oil at 3 T
    peak = truth["relaxivity_per_s_per_mg_mL"] * truth["peak_mg_per_mL"]
    assert values[middle[2], middle[1], middle[0]] - np.median(evaluable) == pytest.approx(peak, rel=0.25)


@pytest.mark.parametrize(
    ("folder", "patient_id", "time", "reason"),
    [
        ("siemens_spin_echo", "phantom", "2010-12-08T19:00:00", "Spin echo"),
        ("philips_enhanced_2echo", "UKRIN_SPMIC_001", "2021-06-16T11:00:00", "2 echoes"),
    ],
    ids=["spin-echo", "two-echoes"],
)
def test_a_series_without_t2star_is_refused_with_the_reason(
    real_data: Path, tmp_path: Path, folder: str, patient_id: str, time: str, reason: str
) -> None:
    plan, file = tmp_path / "plan.toml", tmp_path / "site.holmia"
    plan.write_text(PLAN.format(patient_id=patient_id, time=time))
    site = tmp_path / "site.toml"
    site.write_text("[site]\nseries_quiet_s = 0.5\n[alarms]\nincomplete_after_s = 0.5\n", encoding="utf-8")
    with listening(file, plan, "--site", site) as (_, port), watching(file) as watch:
        storescu(dicom_only(real_data / folder, tmp_path / "files"), port)
        line = watch.until(lambda line: reason in json.dumps(line))
        assert line["event"] in ("series_complete", "alarm")
        assert watch.terminate() == 0
    quantify = run("quantify", file, "--out", tmp_path / "out")
    assert quantify.status == 1
    assert reason in quantify.err
    assert json.loads((tmp_path / "out" / "results.json").read_text())["fractions"] == []


def dicom_only(source: Path, target: Path) -> Path:
    """The folder without its licence, which storescu would refuse."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("LICENSE"))
    return target
