"""The phantom's files, read by code that shares nothing with what wrote them: pixels, geometry, headers, plan."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pydicom
import pytest
from pydicom.tag import Tag

from config.plan import load_plan
from console.demo.phantom_acquisition import AcquisitionOptions, noiseless_signal, slab
from console.demo.phantom_dicom import PhantomError, PhantomOptions, small_options, write_phantom
from console.demo.phantom_headers import Flavour, decimal, uid

TINY = AcquisitionOptions(
    shape=(8, 18, 26), spacing_mm=(20.0, 15.0, 15.0), echo_times_s=(0.0012, 0.0036, 0.0072), tilt_deg=(12.0, -8.0, 5.0)
)
OPTIONS = small_options(acquisition=TINY, anatomy_spacing_mm=(10.0, 6.0, 6.0), fractions=2, saturating_tumour=None)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The same small treatment in every flavour."""
    root = tmp_path_factory.mktemp("phantom")
    return {flavour: write_phantom(root / flavour.value, replace(OPTIONS, flavour=flavour)) for flavour in Flavour}


def read(folder):
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


def expected_signal(phantom, options, n_injections):
    grid = slab(options.acquisition.shape, options.acquisition.spacing_mm, tilt_deg=options.acquisition.tilt_deg)
    acquisition = replace(options.acquisition)
    return grid, options.gain(n_injections) * noiseless_signal(
        phantom.treatment, n_injections, grid, acquisition, options.pose(n_injections)
    )


def frames(folder):
    """Yield (echo time ms, position, orientation, spacing, values, quantisation step) of every image in a folder."""
    for ds in read(folder):
        pixels = np.frombuffer(ds.PixelData, dtype="<u2").reshape(-1, ds.Rows, ds.Columns)
        if "PerFrameFunctionalGroupsSequence" not in ds:
            scale = 1.0
            if ds.Manufacturer.startswith("Philips"):
                assert ds[Tag(0x2005, 0x0010)].value == "Philips MR Imaging DD 001"
                scale = float(ds[Tag(0x2005, 0x100E)].value)
            # P = (S·RS + RI)/(RS·SS)
            slope, intercept = float(ds.get("RescaleSlope", 1)), float(ds.get("RescaleIntercept", 0))
            values = (pixels[0] * slope + intercept) / (slope * scale)
            yield (
                float(ds.EchoTime),
                ds.ImagePositionPatient,
                ds.ImageOrientationPatient,
                ds.PixelSpacing,
                values,
                1 / scale,
            )
            continue
        for plane, group in zip(pixels, ds.PerFrameFunctionalGroupsSequence, strict=True):
            transform = group.PixelValueTransformationSequence[0]
            slope, intercept, scale = float(transform.RescaleSlope), float(transform.RescaleIntercept), 1.0
            if ds.Manufacturer.startswith("Philips"):
                scale = float(group[Tag(0x2005, 0x140F)].value[0][Tag(0x2005, 0x100E)].value)
                values = (plane * slope + intercept) / (slope * scale)
            else:
                values = plane * slope + intercept
            yield (
                float(group.MREchoSequence[0].EffectiveEchoTime),
                group.PlanePositionSequence[0].ImagePositionPatient,
                group.PlaneOrientationSequence[0].ImageOrientationPatient,
                group.PixelMeasuresSequence[0].PixelSpacing,
                values,
                1 / scale,
            )


@pytest.mark.parametrize("flavour", list(Flavour))
@pytest.mark.parametrize("n_injections", [0, 2])
def test_pixels_are_the_signal_at_the_place_that_the_header_says(written, flavour, n_injections):
    phantom = written[flavour]
    folder = phantom.reference if n_injections == 0 else phantom.fractions[n_injections - 1]
    grid, signal = expected_signal(phantom, OPTIONS, n_injections)
    sigma = TINY.sigma * OPTIONS.gain(n_injections)
    seen, residuals = set(), []
    for echo_time, position, orientation, spacing, values, step in frames(folder):
        echo = next(k for k, te in enumerate(TINY.echo_times_s) if te * 1000 == pytest.approx(echo_time))
        index = grid.index_from_lps @ [*map(float, position), 1.0]
        assert index[1:3] == pytest.approx([0, 0], abs=1e-6)
        assert index[0] == pytest.approx(round(index[0]), abs=1e-6)
        row, column = np.array(orientation[:3], dtype=float), np.array(orientation[3:], dtype=float)
        assert grid.affine_lps_mm[:3, 2] == pytest.approx(row * float(spacing[1]))
        assert grid.affine_lps_mm[:3, 1] == pytest.approx(column * float(spacing[0]))
        seen.add((echo, round(index[0])))
        truth = signal[echo, round(index[0])]
        strong = truth > 8 * sigma
        residuals.append((values - np.hypot(truth, sigma))[strong])
        assert step < 2.0
    assert len(seen) == TINY.shape[0] * len(TINY.echo_times_s), "every echo and slice once"
    noise = np.concatenate(residuals)
    assert noise.size > 500
    assert abs(noise.mean()) < 4 * sigma / np.sqrt(noise.size)
    assert noise.std() == pytest.approx(sigma, rel=0.08)


@pytest.mark.parametrize("flavour", list(Flavour))
def test_all_flavours_show_the_same_magnitudes(written, flavour):
    def by_place(phantom):
        return {
            (round(te, 3), tuple(round(float(v), 2) for v in position)): values
            for te, position, _, _, values, _ in frames(phantom.reference)
        }

    reference, other = by_place(written[Flavour.SIEMENS_CLASSIC]), by_place(written[flavour])
    assert reference.keys() == other.keys()
    for place, values in reference.items():
        assert other[place] == pytest.approx(values, abs=1.01)


def test_no_two_files_share_an_instance_uid_and_one_study_holds_all(written):
    for phantom in written.values():
        everything = [ds for folder in phantom.series_folders for ds in read(folder)]
        assert len({ds.SOPInstanceUID for ds in everything}) == len(everything)
        assert len({ds.StudyInstanceUID for ds in everything}) == 1
        assert len({ds.SeriesInstanceUID for ds in everything}) == len(phantom.series_folders)
        assert {ds.PatientID for ds in everything} == {"EM1-004"}
        assert all(ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID for ds in everything)
        assert all(len(ds.SOPInstanceUID) <= 64 and ds.SOPInstanceUID.is_valid for ds in everything)
    studies = {read(phantom.structures)[0].StudyInstanceUID for phantom in written.values()}
    assert len(studies) == len(written), "another flavour is another study: equal UIDs would clash"


def test_vendors_habits(written):
    siemens = read(written[Flavour.SIEMENS_CLASSIC].reference)
    assert len(siemens) == 24
    assert all("NumberOfFrames" not in ds and "RescaleSlope" not in ds for ds in siemens)
    assert list(siemens[0].ImageType) == ["ORIGINAL", "PRIMARY", "M", "ND"]
    assert {int(ds.EchoNumbers) for ds in siemens} == {1, 2, 3}
    assert siemens[1].AcquisitionTime > siemens[0].AcquisitionTime
    assert len(read(written[Flavour.SIEMENS_ENHANCED].reference)) == 3, "one object per echo"
    philips = read(written[Flavour.PHILIPS_CLASSIC].reference)
    assert list(philips[0].ImageType)[2] == "M_FFE"
    assert len({float(ds[0x2005, 0x100E].value) for ds in philips}) == 3, "every echo its own scale"
    assert len(read(written[Flavour.PHILIPS_ENHANCED].reference)) == 1, "one object in all"


def test_every_vr_is_valid(written):
    pydicom.config.settings.reading_validation_mode = pydicom.config.RAISE
    try:
        for phantom in written.values():
            for folder in phantom.series_folders:
                for path in (sorted(folder.iterdir())[0], sorted(folder.iterdir())[-1]):
                    for element in pydicom.dcmread(path).iterall():
                        assert element.value is not None or element.VM == 0
    finally:
        pydicom.config.settings.reading_validation_mode = pydicom.config.WARN


def test_series_per_echo_and_phase_are_series_of_their_own(tmp_path):
    options = replace(OPTIONS, fractions=1, series_per_echo=True, phase=True)
    phantom = write_phantom(tmp_path / "p", options)
    images = read(phantom.reference)
    assert len(images) == 2 * 24
    assert len({ds.SeriesInstanceUID for ds in images}) == 6
    assert len({(ds.SeriesInstanceUID, ds.SeriesNumber, ds.EchoTime) for ds in images}) == 6
    phase = [ds for ds in images if ds.ImageType[2] == "P"]
    assert len(phase) == 24
    assert all("RescaleSlope" not in ds for ds in phase)
    assert np.ptp(phase[12].pixel_array) > 3000


def test_the_plan_is_one_that_the_console_accepts_without_a_warning(written):
    phantom = written[Flavour.SIEMENS_CLASSIC]
    plan = load_plan(phantom.plan_path, site_time_zone="Europe/Amsterdam")
    assert [i.activity_mbq for i in plan.injections] == [i.activity_mbq for i in phantom.treatment.injections]
    assert [i.time for i in plan.injections] == [i.time for i in phantom.treatment.injections]
    before = load_plan(phantom.planned_only_path, site_time_zone="Europe/Amsterdam")
    assert all(i.activity_mbq is None and i.time is None and i.planned_mbq for i in before.injections)


def test_two_positions_name_their_territories(tmp_path):
    phantom = write_phantom(tmp_path / "p", replace(OPTIONS, positions=("RHA", "LHA"), fractions=1))
    plan = tomllib.loads(phantom.plan_path.read_text())
    assert plan["positions"]["LHA"] == {"territory": "Left liver", "volumes": ["Tumour 2"]}
    names = {roi.ROIName for roi in read(phantom.structures)[0].StructureSetROISequence}
    assert names == {"Liver", "Right liver", "Left liver", "Tumour 1", "Tumour 2", "Tumour 3"}
    assert [path.name for path in phantom.fractions] == ["04_RHA_F1", "05_LHA_F1"]
    load_plan(phantom.plan_path, site_time_zone="Europe/Amsterdam")


def test_each_fraction_is_acquired_between_its_injection_and_the_next(written):
    phantom = written[Flavour.PHILIPS_CLASSIC]
    starts = []
    for folder in (phantom.reference, *phantom.fractions):
        times = sorted(ds.AcquisitionDate + ds.AcquisitionTime for ds in read(folder))
        starts.append((times[0], times[-1]))
    injected = [i.time.strftime("%Y%m%d%H%M%S") for i in phantom.treatment.injections]
    assert starts[0][1] < injected[0] < starts[1][0]
    assert starts[1][1] < injected[1] < starts[2][0]
    assert phantom.treatment.injections[0].time.utcoffset() == timedelta(hours=1)


def test_truth_names_pose_and_gain_of_every_fraction(written):
    truth = json.loads(written[Flavour.SIEMENS_CLASSIC].truth_path.read_text())
    assert len(truth["fractions"]) == 2
    for index, fraction in enumerate(truth["fractions"], start=1):
        assert fraction["pose"]["translation_mm"] == list(OPTIONS.pose(index).translation_mm)
        assert fraction["gain"] == OPTIONS.gain(index)
        assert max(map(abs, fraction["pose"]["translation_mm"])) <= OPTIONS.shift_mm


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(written, tmp_path):
    def content(folder):
        return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

    first = content(written[Flavour.PHILIPS_ENHANCED].folder)
    options = replace(OPTIONS, flavour=Flavour.PHILIPS_ENHANCED)
    assert content(write_phantom(tmp_path / "again", options).folder) == first
    other = content(write_phantom(tmp_path / "other", replace(options, seed=2)).folder)
    assert other.keys() == first.keys()
    assert all(other[name] != first[name] for name in first)


def test_a_folder_with_something_in_it_is_not_touched(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(PhantomError, match="not an empty folder"):
        write_phantom(tmp_path, PhantomOptions())
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


@pytest.mark.parametrize("value", [0.0, -1e-7, 1 / 3, -123456.789012345, 1e10, 6.02e23, -np.pi * 1e-5])
def test_decimal_strings_fit_and_are_as_exact_as_they_can_be(value):
    text = decimal(value)
    assert len(text) <= 16
    assert float(text) == pytest.approx(value, rel=1e-8)


def test_uids_are_functions_of_their_parts():
    assert uid("a", 1) == uid("a", 1) != uid("a", 2)
    assert uid("a", 1).startswith("2.25.")
