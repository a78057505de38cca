"""RTDOSE, RTSTRUCT and RTPLAN: what other systems read in them is what was computed, where it was computed."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
import treated as by_hand
from pydicom.dataset import Dataset
from scipy.ndimage import gaussian_filter, map_coordinates

from console.demo.phantom_enhanced import enhanced_files
from console.demo.phantom_headers import Flavour, PhantomPatient, SeriesHeader
from console.demo.phantom_series import Acquired
from console.outputs.dicom.contouring import slice_contours
from console.outputs.dicom.rtdose import rtdose
from console.outputs.dicom.rtplan import rtplan
from console.outputs.dicom.rtstruct import rtstruct
from console.outputs.error import OutputError
from console.outputs.exported import Exported
from console.outputs.wording import RESEARCH_USE
from console.snapshot import GivenStructures, VolumeSource
from dicom_listener.decode import decode
from dicom_listener.images import Structure
from quantify.dvh import volume_receiving
from quantify.findings import FractionStatus, VolumeStatus
from quantify.model import Grid, Role, Volume
from quantify.occupancy import occupancy

ZONE = ZoneInfo("Europe/Amsterdam")


def part10(ds: Dataset) -> bytes:
    stream = BytesIO()
    pydicom.dcmwrite(stream, ds, enforce_file_format=True)
    return stream.getvalue()


@lru_cache
def objects(exported: Exported) -> dict[str, Dataset]:
    return {
        "rtdose": rtdose(exported, exported.snapshot.results[-1]),
        "rtstruct": rtstruct(exported),
        "rtplan": rtplan(exported),
    }


def faults(ds: Dataset, folder: Path) -> list[str]:
    """What dciodvfy finds wrong. It gives up at 32 bits a pixel, so that it is given an RTDOSE with half of them."""
    ds = pydicom.dcmread(BytesIO(part10(ds)))
    if "PixelData" in ds:
        halves = np.frombuffer(ds.PixelData, "<u4") >> 16
        ds.add_new("PixelData", "OW", halves.astype("<u2").tobytes())
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    path = folder / "object.dcm"
    path.write_bytes(part10(ds))
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    assert {"RTDose", "RTPlan", "RTStructureSet"}.intersection(lines), "it did not come to what the object is"
    return [line for line in lines if line.startswith("Error")]


def with_map(exported: Exported, values: np.ndarray, reason: np.ndarray | None = None) -> Exported:
    """The treatment with another dose map in its last result."""
    result = exported.snapshot.results[-1]
    dose = replace(result.maps.dose, values=values.astype(np.float32))
    if reason is not None:
        dose = replace(dose, reason=reason)
    changed = replace(result, maps=replace(result.maps, dose=dose))
    return replace(exported, snapshot=replace(exported.snapshot, results=(*exported.snapshot.results[:-1], changed)))


def upside_down(exported: Exported) -> Exported:
    """The same treatment on the same voxels, with the slices in the other order."""
    own = exported.snapshot.reference.grid
    affine = own.affine_lps_mm.copy()
    affine[:3, 3] += affine[:3, 0] * (own.shape[0] - 1)
    affine[:3, 0] *= -1
    turned = Grid(shape=own.shape, affine_lps_mm=affine, frame_of_reference_uid=own.frame_of_reference_uid)
    result = exported.snapshot.results[-1]
    dose = result.maps.dose
    dose = replace(dose, grid=turned, values=dose.values[::-1], reason=dose.reason[::-1], standard_error=None)
    volumes = tuple(replace(v, grid=turned, occupancy=v.occupancy[::-1]) for v in exported.snapshot.volumes)
    results = (*exported.snapshot.results[:-1], replace(result, maps=replace(result.maps, dose=dose)))
    return replace(exported, snapshot=replace(exported.snapshot, results=results, volumes=volumes))


class DoseReader:
    """An RTDOSE as a reader of its own makes it out: from nothing but the standard's attributes."""

    def __init__(self, data: bytes) -> None:
        ds = pydicom.dcmread(BytesIO(data))
        frames = np.frombuffer(ds.PixelData, "<u4").reshape(int(ds.NumberOfFrames), ds.Rows, ds.Columns)
        self.stored = frames
        self.dose_gy = frames * float(ds.DoseGridScaling)
        right, down = np.array(ds.ImageOrientationPatient[:3]), np.array(ds.ImageOrientationPatient[3:])
        offsets = np.array([float(o) for o in ds.GridFrameOffsetVector])
        assert offsets[0] == 0.0
        assert (np.diff(offsets) > 0).all()
        self.affine = np.eye(4)
        self.affine[:3, 0] = np.cross(right, down) * offsets[1]
        self.affine[:3, 1] = down * float(ds.PixelSpacing[0])
        self.affine[:3, 2] = right * float(ds.PixelSpacing[1])
        self.affine[:3, 3] = [float(v) for v in ds.ImagePositionPatient]

    def at(self, points_mm: np.ndarray) -> np.ndarray:
        return sampled(self.dose_gy, self.affine, points_mm)


def sampled(values: np.ndarray, affine: np.ndarray, points_mm: np.ndarray) -> np.ndarray:
    index = np.linalg.inv(affine) @ np.vstack([points_mm, np.ones(points_mm.shape[1])])
    return map_coordinates(values.astype(np.float64), index[:3], order=1, mode="nearest")


def random_points(own: Grid, n: int = 4000) -> np.ndarray:
    """LPS points inside the grid, off its corner that cannot be evaluated."""
    rng = np.random.default_rng(7)
    index = rng.uniform(0.0, np.array(own.shape) - 1.0, (n, 3)).T
    index = index[:, (index[0] > 3) | (index[1] > 8) | (index[2] > 8)]
    return own.affine_lps_mm[:3, :3] @ index + own.affine_lps_mm[:3, 3:]


def test_the_standard_finds_no_error_in_any_object(treated: Exported, tmp_path: Path) -> None:
    for name, ds in objects(treated).items():
        assert not faults(ds, tmp_path), name


@pytest.mark.parametrize("turned", [False, True], ids=["ascending", "descending"])
def test_the_dose_at_any_point_of_the_patient_is_that_of_the_map(treated: Exported, turned: bool) -> None:
    exported = upside_down(treated) if turned else treated
    result = exported.snapshot.results[-1]
    own, dose = result.maps.dose.grid, result.maps.dose
    reader = DoseReader(part10(rtdose(exported, result)))
    points = random_points(own)
    step = float(np.nanmax(dose.values)) * 1e-6
    expected = sampled(np.nan_to_num(dose.values), own.affine_lps_mm, points)
    np.testing.assert_allclose(reader.at(points), expected, rtol=0, atol=step)
    # At the voxels' own centres, as the reader places them, it is the formula that the map was made from.
    index = np.indices(reader.stored.shape).reshape(3, -1)
    centres = reader.affine[:3, :3] @ index + reader.affine[:3, 3:]
    evaluated = reader.stored.ravel() > 0
    np.testing.assert_allclose(
        reader.dose_gy.ravel()[evaluated], by_hand.dose_gy(centres, 3)[evaluated], rtol=1e-6, atol=step
    )
    assert (~evaluated).sum() == np.isnan(dose.values).sum()


@pytest.mark.parametrize("turned", [False, True], ids=["ascending", "descending"])
def test_a_stack_that_rounding_left_askew_is_met_in_its_middle(oblique: Exported, turned: bool) -> None:
    exported = upside_down(oblique) if turned else oblique
    result = exported.snapshot.results[-1]
    own = result.maps.dose.grid
    affine = own.affine_lps_mm.copy()
    drift_mm = 0.2
    affine[:3, 0] += drift_mm / (own.shape[0] - 1) * affine[:3, 2] / own.spacing_mm[2]
    leaning = Grid(shape=own.shape, affine_lps_mm=affine, frame_of_reference_uid=own.frame_of_reference_uid)
    dose = replace(result.maps.dose, grid=leaning)
    reader = DoseReader(part10(rtdose(exported, replace(result, maps=replace(result.maps, dose=dose)))))
    order = slice(None, None, -1) if turned else slice(None)
    away = by_hand.points_mm(leaning)[:, order] - by_hand.points_mm(
        Grid(shape=own.shape, affine_lps_mm=reader.affine, frame_of_reference_uid=own.frame_of_reference_uid)
    )
    assert np.linalg.norm(away, axis=0).max() == pytest.approx(drift_mm / 2.0, rel=1e-3)


def test_another_library_reads_the_same_dose_at_the_same_places(treated: Exported, tmp_path: Path) -> None:
    result = treated.snapshot.results[-1]
    path = tmp_path / "dose.dcm"
    path.write_bytes(part10(rtdose(treated, result)))
    image = sitk.ReadImage(str(path))
    spacing, size = np.array(image.GetSpacing()), image.GetSize()
    np.testing.assert_allclose(spacing, (3.0, 3.0, 5.0), atol=1e-6)
    points = random_points(result.maps.dose.grid, 60)
    scale = 1.0 if sitk.GetArrayViewFromImage(image).max() < 1e4 else float(pydicom.dcmread(path).DoseGridScaling)
    for point in points.T:
        index = image.TransformPhysicalPointToContinuousIndex(point.tolist())
        assert all(-0.01 <= i <= n - 0.99 for i, n in zip(index, size, strict=True))
        expected = sampled(np.nan_to_num(result.maps.dose.values), result.maps.dose.grid.affine_lps_mm, point[:, None])
        read = image.EvaluateAtContinuousIndex([min(max(i, 0.0), n - 1.0) for i, n in zip(index, size, strict=True)])
        assert read * scale == pytest.approx(float(expected[0]), rel=1e-5)


def test_zero_means_not_evaluable_and_nothing_else(oblique: Exported) -> None:
    values = np.array(oblique.snapshot.results[-1].maps.dose.values)
    values[5, 20, 20:24] = -3.5, -0.25, 0.0, 1e-12
    exported = with_map(oblique, values)
    ds = rtdose(exported, exported.snapshot.results[-1])
    reader = DoseReader(part10(ds))
    np.testing.assert_array_equal(reader.stored == 0, np.isnan(values))
    assert reader.stored[5, 20, 20:24].tolist() == [1, 1, 1, 1]
    assert reader.dose_gy[5, 20, 20] < 1e-6 * np.nanmax(values)
    words = ds.ImageComments
    assert "192 of 23040 voxels could not be evaluated" in words
    assert "3 evaluated voxels have an estimate of 0 or less (noise; the lowest -3.5 Gy)" in words
    assert "4 voxels are lower bounds" in words


def test_the_largest_dose_stays_within_what_signed_readers_take(oblique: Exported) -> None:
    shape = oblique.snapshot.reference.grid.shape
    rng = np.random.default_rng(3)
    for largest in (0.0, 0.7, 43.21987654, 9.87654321e4):
        exported = with_map(oblique, largest * rng.uniform(0.0, 1.0, shape) ** 4)
        values = exported.snapshot.results[-1].maps.dose.values
        reader = DoseReader(part10(rtdose(exported, exported.snapshot.results[-1])))
        assert reader.stored.max() < 2**31
        np.testing.assert_allclose(reader.dose_gy, values, rtol=0, atol=max(1e-6 * float(values.max()), 1e-9))


def test_what_is_reported_and_what_a_reader_computes_stand_side_by_side(oblique: Exported) -> None:
    result = oblique.snapshot.results[-1]
    ds = rtdose(oblique, result)
    tumour = oblique.snapshot.volumes[1]
    weights = tumour.occupancy.astype(np.float64)
    mean = (DoseReader(part10(ds)).dose_gy * weights).sum() / weights.sum()
    reported = result.volumes["Tumour 1"]
    assert reported.status is VolumeStatus.LOWER_BOUND
    assert (
        f"Tumour 1 ≥ {reported.dose_mean_gy:.2f} ± {reported.dose_mean_u_gy:.2f} Gy, {mean:.2f} Gy" in ds.ImageComments
    )
    for said in (RESEARCH_USE, oblique.snapshot.settings_sha256, oblique.snapshot.head_hash, "1290.0 MBq"):
        assert said in ds.ImageComments
    assert ds.DoseComment == "Sum to RHA F4, 1290 MBq; research use only"


def test_histograms_are_the_reported_ones_and_never_of_lower_bounds(oblique: Exported) -> None:
    result = oblique.snapshot.results[-1]
    ds = rtdose(oblique, result)
    names = [v.name for v in oblique.snapshot.volumes]
    found = {names[item.DVHReferencedROISequence[0].ReferencedROINumber - 1]: item for item in ds.DVHSequence}
    assert sorted(found) == ["Healthy liver", "Liver", "Tumour 2"]
    for name, item in found.items():
        widths, shares = np.array(item.DVHData, dtype=float).reshape(-1, 2).T
        curve = result.volumes[name].dvh
        doses = np.arange(len(shares)) * widths[0]
        expected = [volume_receiving(curve, float(dose)) for dose in doses]
        np.testing.assert_allclose(shares / 100.0, expected, atol=1e-6)
        assert float(item.DVHMeanDose) == pytest.approx(result.volumes[name].dose_mean_gy, rel=1e-9)


@pytest.mark.parametrize("case", ["failed", "provisional", "nothing evaluable", "askew"])
def test_what_has_no_dose_on_a_straight_grid_is_refused_in_a_sentence(oblique: Exported, case: str) -> None:
    result = oblique.snapshot.results[-1]
    if case == "failed":
        result = replace(result, status=FractionStatus.FAILED, error="The series is incomplete.", maps=None)
    elif case == "provisional":
        result = replace(result, status=FractionStatus.PROVISIONAL, provisional_reasons=("no residual",), maps=None)
    elif case == "nothing evaluable":
        result = with_map(oblique, np.full(result.maps.dose.grid.shape, np.nan)).snapshot.results[-1]
    else:
        own = result.maps.dose.grid
        affine = own.affine_lps_mm.copy()
        affine[:3, 0] += 0.1 * affine[:3, 1]
        askew = Grid(shape=own.shape, affine_lps_mm=affine, frame_of_reference_uid=own.frame_of_reference_uid)
        result = replace(result, maps=replace(result.maps, dose=replace(result.maps.dose, grid=askew)))
    said = {"failed": "incomplete", "provisional": "no residual", "nothing evaluable": "No voxel", "askew": "normal"}
    with pytest.raises(OutputError, match=said[case]):
        rtdose(oblique, result)


def test_the_same_export_has_the_same_bytes_and_comes_back_as_written(treated: Exported) -> None:
    again = objects.__wrapped__(treated)
    for name, ds in objects(treated).items():
        assert part10(ds) == part10(again[name])
        read = pydicom.dcmread(BytesIO(part10(ds)))
        assert read == ds
        assert read.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID


def test_the_objects_refer_to_one_another(oblique: Exported) -> None:
    made = objects(oblique)
    plan, structures = made["rtplan"].SOPInstanceUID, made["rtstruct"].SOPInstanceUID
    assert made["rtdose"].ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == plan
    assert made["rtdose"].ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID == structures
    assert made["rtplan"].ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID == structures
    limit = made["rtplan"].DoseReferenceSequence[0]
    names = {item.ROINumber: item.ROIName for item in made["rtstruct"].StructureSetROISequence}
    assert names[limit.ReferencedROINumber] == "Healthy liver"
    assert limit.DoseReferenceDescription == "Mean dose at most 55 Gy: Healthy liver"
    assert len({ds.SeriesInstanceUID for ds in made.values()}) == 3
    assert len({rtdose(oblique, result).SOPInstanceUID for result in oblique.snapshot.results}) == 4


def test_patient_and_study_are_those_of_the_images_also_where_they_say_nothing(
    oblique: Exported, tmp_path: Path
) -> None:
    first = pydicom.dcmread(BytesIO(part10(oblique.reference_images[0])))
    first.SpecificCharacterSet = "ISO_IR 100"
    first.PatientName = "Müller^Jörg"
    first.IssuerOfPatientID = "Ward 7"
    first.TimezoneOffsetFromUTC = "+0900"
    for keyword in ("PatientSex", "StudyTime", "AccessionNumber", "StudyDescription", "StudyID"):
        del first[keyword]
    first = pydicom.dcmread(BytesIO(part10(first)))
    exported = replace(oblique, reference_images=(first, *oblique.reference_images[1:]))
    for ds in objects(exported).values():
        read = pydicom.dcmread(BytesIO(part10(ds)))
        assert (str(read.PatientName), read.PatientID, read.IssuerOfPatientID) == ("Müller^Jörg", "EM1-004", "Ward 7")
        assert (read.StudyInstanceUID, read.StudyDate) == (by_hand.STUDY, "20260304")
        assert not any(read[keyword].value for keyword in ("PatientSex", "StudyTime", "AccessionNumber", "StudyID"))
        assert "StudyDescription" not in read
        assert read.FrameOfReferenceUID == by_hand.FRAME
        # Made at 10:30 UTC, and written as the study's own times are meant.
        assert (read.InstanceCreationDate, read.InstanceCreationTime) == ("20260304", "193000")
        assert not faults(ds, tmp_path)


def round_trip(exported: Exported, volumes: list[Volume]) -> tuple[Structure, ...]:
    ds = rtstruct(replace(exported, snapshot=replace(exported.snapshot, volumes=tuple(volumes), volume_sources={})))
    decoded = decode(part10(ds), time_zone=ZONE)
    assert decoded.reason == ""
    assert decoded.structure_set.frame_of_reference_uid == by_hand.FRAME
    assert decoded.structure_set.names == tuple(v.name for v in volumes)
    return decoded.structure_set.structures


def body(own: Grid, centre_mm: tuple[float, ...], half_axes_mm: tuple[float, ...]) -> np.ndarray:
    """Occupancy of an ellipsoid, about as voxels sampled by contours have it."""
    at = by_hand.points_mm(own)
    radius = np.sqrt(sum(((at[k] - centre_mm[k]) / half_axes_mm[k]) ** 2 for k in range(3)))
    return np.clip((1.0 - radius) * min(half_axes_mm) / 3.0 + 0.5, 0.0, 1.0)


def bodies(own: Grid) -> dict[str, np.ndarray]:
    """What is hard to contour: from 1 mL to 1.5 L, holes, edges, halves of slices, gaps, masks."""
    middle = own.affine_lps_mm @ ((np.array([*own.shape, 3]) - 1) / 2.0)
    x, y, z = middle[:3]
    edge = own.affine_lps_mm[:3] @ (15.0, 0.0, 60.0, 1.0)
    liver = body(own, (x, y, z), (85.0, 66.0, 62.0))
    small = body(own, (x + 20.0, y, z + 5.0), (6.3, 6.3, 6.3))
    large = body(own, (x - 30.0, y, z), (25.0, 30.0, 20.0))
    near = body(own, (x - 30.0, y + 45.0, z), (9.0, 8.0, 9.0))
    half = np.zeros(own.shape)
    half[20:24, 40:44, 40:44] = 1.0
    half[24, 40:44, 40:44] = 0.3
    apart = np.zeros(own.shape)
    apart[18:20, 50:55, 50:55] = 1.0
    apart[22:24, 50:55, 70:75] = 1.0
    ramp = np.zeros(own.shape)
    ramp[10:14, 30:33, 30:33] = np.random.default_rng(5).uniform(0.1, 1.0, (4, 3, 3))
    return {
        "Liver": liver,
        "Small": small,
        "Large": large,
        "Healthy liver": np.clip(liver - small - large - near, 0.0, 1.0),
        "At the edge": body(own, tuple(edge), (14.0, 14.0, 14.0)),
        "Half a slice": half,
        "Two parts": apart,
        "Ragged": ramp,
        "Mask": (large > 0.5).astype(np.float64),
    }


@pytest.fixture(scope="module")
def drawn(treated: Exported) -> tuple[list[Volume], tuple[Structure, ...]]:
    affine = treated.snapshot.reference.grid.affine_lps_mm.copy()
    shape = (34, 92, 116)
    affine[:3, 3] -= affine[:3, :3] @ ((np.array(shape) - np.array(by_hand.SHAPE)) / 2.0)
    affine[:3, 0] *= 0.8
    own = Grid(shape=shape, affine_lps_mm=affine, frame_of_reference_uid=by_hand.FRAME)
    volumes = [
        Volume(
            name=name,
            role=Role.LIVER,
            occupancy=share.astype(np.float32),
            grid=own,
            contour_volume_ml=float(share.sum()) * own.voxel_volume_ml,
        )
        for name, share in bodies(own).items()
    ]
    return volumes, round_trip(treated, volumes)


def test_contours_enclose_the_volume_that_they_were_drawn_around(drawn) -> None:
    volumes, structures = drawn
    sizes = {volume.name: volume.volume_ml for volume in volumes}
    assert sizes["Small"] == pytest.approx(1.05, abs=0.1)
    assert sizes["Liver"] > 1400.0
    for volume, structure in zip(volumes, structures, strict=True):
        contours = [contour.points_mm for contour in structure.contours]
        share, enclosed_ml = occupancy(contours, volume.grid)
        assert enclosed_ml == pytest.approx(volume.volume_ml, rel=0.005), volume.name
        # Rasterising samples a voxel at few points: of a tumour of 1 mL it is off by more than its contours are.
        rasterised = 0.01 if volume.volume_ml > 5.0 else 0.03
        assert share.sum() * volume.grid.voxel_volume_ml == pytest.approx(volume.volume_ml, rel=rasterised), volume.name
        common = 2.0 * np.minimum(share, volume.occupancy).sum() / (share.sum() + volume.occupancy.sum())
        assert common > (0.97 if volume.volume_ml > 20.0 else 0.7), volume.name


def test_contours_of_any_slice_enclose_the_sum_of_its_shares() -> None:
    """Whatever its shape: spots, holes in holes, single pixels, even plateaus, masks."""
    rng = np.random.default_rng(0)
    for number in range(45):
        field = gaussian_filter(rng.normal(size=rng.integers(3, 20, 2)), rng.uniform(0.0, 2.0))
        field = (field - np.quantile(field, rng.uniform(0.1, 0.9))) / field.std()
        share = np.clip(field * rng.uniform(0.2, 5.0) + 0.5, 0.0, 1.0)
        steps = (0, 3, 1)[number % 3]
        share = np.pad(np.floor(share * steps) / steps if steps else share, 1)
        polygons = slice_contours(share.astype(np.float32))
        areas = [0.5 * abs(p[:, 0] @ np.roll(p[:, 1], -1) - p[:, 1] @ np.roll(p[:, 0], -1)) for p in polygons]
        assert sum(areas) == pytest.approx(share.sum(), rel=0.002, abs=0.02)
        # No pixel is in two of them: adding them up and their exclusive or are the same.
        assert np.max(sum(pixels_inside(polygon, share.shape) for polygon in polygons)) <= 1


def pixels_inside(polygon: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Even-odd, beside the pixels' centres, through which a contour may pass; 0 or 1 for each."""
    rows, columns = np.indices(shape).reshape(2, -1, 1) + np.array([[[0.013]], [[0.017]]])
    (row, column), (next_row, next_column) = polygon.T, np.roll(polygon, -1, axis=0).T
    crossed = (row <= rows) != (next_row <= rows)
    at = column + (rows - row) / np.where(crossed, next_row - row, 1.0) * (next_column - column)
    return np.count_nonzero(crossed & (at > columns), axis=1) % 2


def test_a_hole_is_left_out_by_readers_that_add_contours_up(drawn) -> None:
    """Each polygon's own area, holes and all, adds up to the volume, and none lies in another."""
    volumes, structures = drawn
    of_name = {structure.name: structure for structure in structures}
    healthy = next(volume for volume in volumes if volume.name == "Healthy liver")
    normal = np.cross(healthy.grid.affine_lps_mm[:3, 2], healthy.grid.affine_lps_mm[:3, 1])
    normal /= np.linalg.norm(normal)
    area, planes = 0.0, []
    for contour in of_name["Healthy liver"].contours:
        points = contour.points_mm - contour.points_mm[0]
        area += abs(0.5 * np.cross(points, np.roll(points, -1, axis=0)).sum(axis=0) @ normal)
        planes.append(round(float(contour.points_mm[0] @ normal), 2))
    assert area * healthy.grid.spacing_mm[0] / 1000.0 == pytest.approx(healthy.volume_ml, rel=0.005)
    assert len(set(planes)) == len(planes)


def test_a_contour_refers_to_the_image_that_it_lies_in(treated: Exported) -> None:
    ds = objects(treated)["rtstruct"]
    by_uid = {image.SOPInstanceUID: image for image in treated.reference_images}
    for region in ds.ROIContourSequence:
        for item in region.ContourSequence:
            image = by_uid[item.ContourImageSequence[0].ReferencedSOPInstanceUID]
            assert image.EchoNumbers == 1
            right, down = np.array(image.ImageOrientationPatient[:3]), np.array(image.ImageOrientationPatient[3:])
            points = np.array([float(v) for v in item.ContourData]).reshape(-1, 3)
            away = (points - np.array([float(v) for v in image.ImagePositionPatient])) @ np.cross(right, down)
            assert np.abs(away).max() < 1e-4
    study = ds.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    assert [series.SeriesInstanceUID for series in study.RTReferencedSeriesSequence] == [by_hand.REFERENCE]
    assert len(study.RTReferencedSeriesSequence[0].ContourImageSequence) == by_hand.SHAPE[0]


@pytest.mark.parametrize("flavour", [Flavour.SIEMENS_ENHANCED, Flavour.PHILIPS_ENHANCED])
def test_contours_refer_to_frames_of_enhanced_images(oblique: Exported, flavour: Flavour, tmp_path: Path) -> None:
    own = oblique.snapshot.reference.grid
    header = SeriesHeader(
        identity="enhanced/reference",
        patient=PhantomPatient(),
        flavour=flavour,
        study_at=datetime(2026, 3, 4, 9, 45),
        acquired_at=datetime(2026, 3, 4, 9, 55),
        number=3,
        description="mGRE",
        field_strength_t=3.0,
        repetition_time_ms=100.0,
        flip_angle_deg=20.0,
    )
    acquired = Acquired(
        signal=np.ones((2, *own.shape), dtype=np.float32),
        echo_times_s=(0.0012, 0.0024),
        grid=own,
        sigma=0.0,
        gain=100.0,
        seed=1,
        series_index=0,
    )
    images = tuple(pydicom.dcmread(BytesIO(d), stop_before_pixels=True) for d in enhanced_files(header, acquired))
    exported = replace(oblique, reference_images=images[::-1])
    ds = objects(exported)["rtstruct"]
    for item in ds.ROIContourSequence[1].ContourSequence:
        reference = item.ContourImageSequence[0]
        assert reference.ReferencedSOPInstanceUID == images[0].SOPInstanceUID
        frame = images[0].PerFrameFunctionalGroupsSequence[reference.ReferencedFrameNumber - 1]
        assert float(frame.MREchoSequence[0].EffectiveEchoTime) == pytest.approx(1.2)
        position = np.array([float(v) for v in frame.PlanePositionSequence[0].ImagePositionPatient])
        point = np.array([float(v) for v in item.ContourData[:3]])
        assert abs(own.index_from_lps[0, :3] @ (point - position)) < 1e-4
    study = ds.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    assert len(study.RTReferencedSeriesSequence[0].ContourImageSequence) == 1
    for made in objects(exported).values():
        assert made.PatientID == "EM1-004"
        assert not faults(made, tmp_path)


def test_given_contours_are_written_as_they_came(oblique: Exported) -> None:
    drawn = decode(part10(objects(oblique)["rtstruct"]), time_zone=ZONE).structure_set
    ds = pydicom.dcmread(BytesIO(part10(objects(oblique)["rtstruct"])))
    # Drawn elsewhere, on planes of another series, with a hole of its own and every digit that a value can have.
    for region in ds.ROIContourSequence:
        for item in region.ContourSequence:
            item.ContourData = [f"{float(v) + 1.23456789:.12g}" for v in item.ContourData]
    given = decode(part10(ds), time_zone=ZONE).structure_set
    given = replace(given, object_sha256="cd" * 32)
    other = replace(given, object_sha256="ef" * 32, frame_of_reference_uid="1.2.3")
    sources = {
        "Liver": VolumeSource(title="structure set 'Contours'", sha256="cd" * 32, version=1),
        "Tumour 1": VolumeSource(title="structure set 'Contours'", sha256="cd" * 32, version=1),
        "Tumour 2": VolumeSource(title="structure set 'Elsewhere'", sha256="ef" * 32, version=2),
    }
    at = oblique.made_at
    snapshot = replace(
        oblique.snapshot,
        structures=tuple(GivenStructures(structures=own, at=at, by="import") for own in (given, other)),
        volume_sources=sources,
    )
    found = decode(part10(rtstruct(replace(oblique, snapshot=snapshot))), time_zone=ZONE).structure_set
    for name, expected in (("Liver", given), ("Tumour 1", given), ("Tumour 2", drawn), ("Healthy liver", drawn)):
        own = next(s for s in found.structures if s.name == name)
        wanted = next(s for s in expected.structures if s.name == name)
        assert len(own.contours) == len(wanted.contours)
        for a, b in zip(own.contours, wanted.contours, strict=True):
            np.testing.assert_array_equal(a.points_mm, b.points_mm)


def test_without_volumes_there_is_dose_and_plan_and_no_structure_set(oblique: Exported, tmp_path: Path) -> None:
    result = replace(oblique.snapshot.results[-1], volumes={})
    snapshot = replace(oblique.snapshot, volumes=(), results=(*oblique.snapshot.results[:-1], result))
    bare = replace(oblique, snapshot=snapshot)
    with pytest.raises(OutputError, match="no volumes of interest"):
        rtstruct(bare)
    assert not faults(rtdose(bare, result), tmp_path)
    assert not faults(rtplan(bare), tmp_path)


def test_a_what_if_says_so_in_every_object(oblique: Exported) -> None:
    tried = replace(oblique, snapshot=replace(oblique.snapshot, overrides={"quantification.fit": "arlo"}))
    for name, ds in objects(tried).items():
        text = {"rtdose": "ImageComments", "rtstruct": "StructureSetDescription", "rtplan": "RTPlanDescription"}[name]
        assert "A WHAT-IF, NOT THE TREATMENT AS RECORDED: quantification.fit = arlo" in ds[text].value
        assert ds.SeriesDescription.startswith("WHAT-IF ")
        assert len(ds.SeriesDescription) <= 64
        assert ds.SOPInstanceUID != objects(oblique)[name].SOPInstanceUID


def test_a_name_is_one_value_of_at_most_64_characters(oblique: Exported) -> None:
    first, *rest = oblique.snapshot.volumes
    for name, told in (("a\\b", "a/b"), ("T" * 100, "T" * 64)):
        snapshot = replace(oblique.snapshot, volumes=(replace(first, name=name), *rest))
        assert rtstruct(replace(oblique, snapshot=snapshot)).StructureSetROISequence[0].ROIName == told
