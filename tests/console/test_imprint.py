"""Known holmium on real images: the decay and the noise are what the formula says, the headers are left alone."""

from __future__ import annotations

import json
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pydicom
import pytest
from pydicom.uid import EnhancedMRImageStorage

from config.plan import load_plan
from console.demo.imprint import ImprintOptions, estimate_noise_sigma, imprint
from console.demo.imprint_files import read_series
from console.demo.phantom_acquisition import AcquisitionOptions
from console.demo.phantom_dicom import PhantomError, small_options, write_phantom
from console.demo.phantom_headers import Flavour

ZONE = ZoneInfo("Europe/Amsterdam")
GRE = "siemens_gre_6echo"


@pytest.fixture(scope="module")
def imprinted(real_data, tmp_path_factory):
    return imprint(real_data / GRE, tmp_path_factory.mktemp("imprint") / "out")


@pytest.fixture(scope="module")
def philips(tmp_path_factory):
    """A small Philips enhanced phantom series: every echo has another scale."""
    protocol = AcquisitionOptions(
        shape=(10, 40, 60), spacing_mm=(6.0, 6.0, 6.0), echo_times_s=(0.002, 0.004, 0.006), subsamples=1
    )
    options = small_options(
        acquisition=protocol, anatomy_spacing_mm=(30.0, 6.0, 6.0), flavour=Flavour.PHILIPS_ENHANCED, fractions=1
    )
    return write_phantom(tmp_path_factory.mktemp("philips") / "p", options).reference


def pixels(folder: Path):
    """{(echo time, slice position): (stored pixels, dataset)} of classic files, without the project's decoder."""
    result = {}
    for path in sorted(folder.iterdir()):
        ds = pydicom.dcmread(path)
        result[float(ds.EchoTime), float(ds.ImagePositionPatient[2])] = (ds.pixel_array.astype(float), ds)
    return result


def radius_mm(ds, centre):
    """Distance of every voxel's centre from `centre`, for a transverse image."""
    x = float(ds.ImagePositionPatient[0]) + np.arange(ds.Columns) * float(ds.PixelSpacing[1])
    y = float(ds.ImagePositionPatient[1]) + np.arange(ds.Rows) * float(ds.PixelSpacing[0])
    z = float(ds.ImagePositionPatient[2])
    return np.sqrt((x[None] - centre[0]) ** 2 + (y[:, None] - centre[1]) ** 2 + (z - centre[2]) ** 2)


def test_the_reference_is_the_site_s_own_files_without_phase(real_data, imprinted):
    names = [path.name for path in sorted(imprinted.reference.iterdir())]
    assert len(names) == 60, "60 magnitude images; the 60 phase images are left out"
    assert all((imprinted.reference / n).read_bytes() == (real_data / GRE / n).read_bytes() for n in names)
    assert [path.name for path in sorted(imprinted.fraction.iterdir())] == names


def test_outside_the_sphere_no_voxel_changes(imprinted):
    before, after = pixels(imprinted.reference), pixels(imprinted.fraction)
    assert before.keys() == after.keys()
    changed = 0
    for place, (old, ds) in before.items():
        outside = radius_mm(ds, imprinted.centre_mm) > 12.5 + 4.0
        assert np.array_equal(old[outside], after[place][0][outside])
        changed += np.count_nonzero(old != after[place][0])
    assert changed > 1000


def test_inside_the_sphere_the_signal_decays_by_relaxivity_times_concentration(imprinted):
    before, after = pixels(imprinted.reference), pixels(imprinted.fraction)
    logs = {}
    for (echo_time_ms, _), (old, ds) in before.items():
        new = after[echo_time_ms, float(ds.ImagePositionPatient[2])][0]
        r = radius_mm(ds, imprinted.centre_mm)
        # Between the centre and two thirds of the radius; only where the signal stays far above the noise.
        use = (r < 8.0) & (old > 40 * imprinted.noise_sigma)
        expected = np.exp(-218.0 * (1 - (r[use] / 12.5) ** 2) * echo_time_ms / 1000)
        logs.setdefault(echo_time_ms, []).append((new[use].sum(), (expected * old[use]).sum()))
    for echo_time_ms in (2.5, 5.5, 8.5):
        measured, expected = np.sum(logs[echo_time_ms], axis=0)
        assert measured == pytest.approx(expected, rel=0.04), f"TE {echo_time_ms} ms"


def test_where_the_holmium_takes_all_signal_the_noise_is_that_of_the_background(tmp_path, real_data):
    strong = imprint(real_data / GRE, tmp_path / "out", ImprintOptions(peak_mg_per_ml=60.0))
    values = []
    for (echo_time_ms, _), (new, ds) in pixels(strong.fraction).items():
        if echo_time_ms > 5:
            values.append(new[radius_mm(ds, strong.centre_mm) < 9.0])
    magnitude = np.concatenate(values)
    assert magnitude.size > 1000
    # Rayleigh: mean √(π/2)·σ, SD √(2 − π/2)·σ.
    assert magnitude.mean() == pytest.approx(np.sqrt(np.pi / 2) * strong.noise_sigma, rel=0.05)
    assert magnitude.std() == pytest.approx(np.sqrt(2 - np.pi / 2) * strong.noise_sigma, rel=0.07)


def test_sigma_is_that_of_the_corners(imprinted):
    corners = np.concatenate([old[:6, :6].ravel() for old, _ in pixels(imprinted.reference).values()])
    assert imprinted.noise_sigma == pytest.approx(np.sqrt(np.mean(corners**2) / 2), rel=0.15)


def test_headers_change_in_uids_and_times_only(imprinted):
    allowed = {
        "SOPInstanceUID", "SeriesInstanceUID", "InstanceCreationDate", "InstanceCreationTime", "SeriesDate",
        "SeriesTime", "AcquisitionDate", "AcquisitionTime", "ContentDate", "ContentTime", "PixelData",
    }  # fmt: skip
    before, after = pixels(imprinted.reference), pixels(imprinted.fraction)
    for place, (_, old) in before.items():
        new = after[place][1]
        assert {e.tag for e in new} == {e.tag for e in old}
        different = {e.keyword for e in old if new[e.tag].value != e.value}
        assert different <= allowed
        assert {"SOPInstanceUID", "SeriesInstanceUID", "AcquisitionTime"} <= different
    assert len({ds.SOPInstanceUID for _, ds in after.values()}) == 60
    assert len({ds.SeriesInstanceUID for _, ds in after.values()}) == 1


def test_the_plan_is_accepted_and_its_injection_lies_between_the_two_series(imprinted):
    plan = load_plan(imprinted.plan_path, site_time_zone="Europe/Amsterdam")
    injection = plan.injections[0]
    assert plan.patient.id == "201911011532"
    last = max(ds.AcquisitionTime for _, ds in pixels(imprinted.reference).values())
    first = min(ds.AcquisitionTime for _, ds in pixels(imprinted.fraction).values())
    assert last < injection.time.strftime("%H%M%S") < first
    assert injection.activity_mbq == pytest.approx(imprinted.injected_mbq, abs=1e-3)


def test_truth_is_that_of_a_numerical_integration(imprinted):
    truth = json.loads(imprinted.truth_path.read_text())
    axis = np.arange(-12.5, 12.5, 0.2) + 0.1
    rho2 = sum(g**2 for g in np.meshgrid(axis, axis, axis, indexing="ij")) / 12.5**2
    c = (1.0 - rho2)[rho2 < 1]
    dose = 15.87 * 12.0 * c / 1.06
    assert truth["volume_mL"] == pytest.approx(c.size * 0.2**3 / 1000, rel=2e-3)
    assert truth["volume_mL"] > 5
    assert truth["dose_mean_Gy"] == pytest.approx(dose.mean(), rel=2e-3)
    for percent in (90, 70, 50):
        assert truth[f"d{percent}_Gy"] == pytest.approx(np.percentile(dose, 100 - percent), rel=5e-3)
    assert truth["injected_MBq"] == pytest.approx(12.0 * c.sum() * 0.2**3 / 1000, rel=2e-3)


def test_the_sphere_is_drawn_in_the_site_s_frame_of_reference_and_study(imprinted):
    structures = pydicom.dcmread(imprinted.structures / "sphere.dcm")
    image = next(ds for _, ds in pixels(imprinted.reference).values())
    assert structures.StudyInstanceUID == image.StudyInstanceUID
    assert structures.PatientID == image.PatientID
    assert structures.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID == image.FrameOfReferenceUID
    points = np.concatenate(
        [np.array(c.ContourData, float).reshape(-1, 3) for c in structures.ROIContourSequence[0].ContourSequence]
    )
    assert np.linalg.norm(points - imprinted.centre_mm, axis=1) == pytest.approx(np.full(len(points), 12.5), abs=0.05)


def test_the_same_seed_gives_the_same_bytes_and_another_other_noise(tmp_path, philips):
    def content(name, **options):
        folder = imprint(philips, tmp_path / name, ImprintOptions(**options)).folder
        return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

    first = content("a", seed=1)
    assert content("b", seed=1) == first
    assert content("c", seed=2)["fraction1/IM0001.dcm"] != first["fraction1/IM0001.dcm"]


def test_an_enhanced_file_with_a_scale_per_echo_is_attenuated_in_signal_not_in_stored_units(tmp_path, philips):
    centre = (-20.0, 20.0, -5.0)
    made = imprint(philips, tmp_path / "out", ImprintOptions(centre_mm=centre, radius_mm=20.0))
    before = read_series(made.reference, time_zone=ZONE)
    after = read_series(made.fraction, time_zone=ZONE)
    ratios = []
    for old, new in zip(before.images, after.images, strict=True):
        index = [old.slice_index, *np.indices(old.image.signal.shape).reshape(2, -1), 1.0]
        index = np.array(np.broadcast_arrays(*index))
        r = np.linalg.norm((before.grid.affine_lps_mm @ index)[:3] - np.array(centre)[:, None], axis=0)
        near = (r < 6.0).reshape(old.image.signal.shape)
        if near.any():
            ratios.append((old.image.echo_time_s, new.image.signal[near].sum(), old.image.signal[near].sum()))
    for echo_time in before.echo_times_s[:2]:
        numerator, denominator = np.sum([(n, d) for te, n, d in ratios if te == echo_time], axis=0)
        assert -np.log(numerator / denominator) / echo_time == pytest.approx(218.0 * 0.94, rel=0.08)
    assert after.images[0].image.acquired_at > before.images[-1].image.acquired_at


def test_phase_frames_of_a_mixed_object_are_dropped(real_data, tmp_path):
    made = imprint(real_data / "philips_enhanced_2echo", tmp_path / "out")
    original = pydicom.dcmread(real_data / "philips_enhanced_2echo" / "IM_0014")
    new = pydicom.dcmread(made.fraction / "IM_0014")
    assert new.SOPClassUID == EnhancedMRImageStorage
    assert (int(original.NumberOfFrames), int(new.NumberOfFrames)) == (104, 26)
    kinds = {g.MRImageFrameTypeSequence[0].ComplexImageComponent for g in new.PerFrameFunctionalGroupsSequence}
    assert kinds == {"MAGNITUDE"}
    assert new.pixel_array.shape[0] == 26


@pytest.mark.parametrize(
    ("folder", "options", "message"),
    [
        ("siemens_spin_echo", {}, "Only a gradient echo shows T2"),
        (GRE, {"radius_mm": 40.0}, "does not lie within the slab"),
        (GRE, {"centre_mm": (900.0, 0.0, 0.0)}, "choose another centre"),
    ],
)
def test_what_cannot_be_imprinted_is_refused_in_a_sentence(real_data, tmp_path, folder, options, message):
    with pytest.raises(PhantomError, match=message):
        imprint(real_data / folder, tmp_path / "out", ImprintOptions(**options))
    assert not (tmp_path / "out").exists()


def test_masked_background_asks_for_the_noise(tmp_path, philips):
    source = tmp_path / "masked"
    source.mkdir()
    ds = pydicom.dcmread(next(philips.iterdir()))
    stored = ds.pixel_array.copy()
    stored[stored < 200] = 0
    ds.PixelData = stored.tobytes()
    ds.save_as(source / "a.dcm")
    with pytest.raises(PhantomError, match="noise_sigma"):
        estimate_noise_sigma(read_series(source, time_zone=ZONE))
    made = imprint(source, tmp_path / "out", ImprintOptions(noise_sigma=20.0))
    assert made.noise_sigma == 20.0


def test_an_incomplete_or_empty_folder_is_refused(tmp_path, real_data):
    (tmp_path / "empty").mkdir()
    with pytest.raises(PhantomError, match="no multi-echo gradient-echo magnitude series"):
        read_series(tmp_path / "empty", time_zone=ZONE)
    (tmp_path / "part").mkdir()
    for path in sorted((real_data / GRE).glob("001_000001_*"))[:-1]:
        (tmp_path / "part" / path.name).symlink_to(path)
    with pytest.raises(PhantomError, match="59 images for 6 echo times and 10 slices"):
        read_series(tmp_path / "part", time_zone=ZONE)
