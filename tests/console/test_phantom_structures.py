"""The phantom's contours: they enclose what the implicit shapes enclose, on planes of any orientation."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.uid import RTStructureSetStorage

from console.demo.phantom import Phantom, Territory
from console.demo.phantom_acquisition import slab
from console.demo.phantom_structures import phantom_shapes, plane_contours, sphere

PHANTOM = Phantom(seed=1)


def area(points, grid):
    """Area of a planar polygon in mm², by the shoelace formula in the plane's own coordinates."""
    right = grid.affine_lps_mm[:3, 2] / grid.spacing_mm[2]
    down = grid.affine_lps_mm[:3, 1] / grid.spacing_mm[1]
    u, v = points @ right, points @ down
    return 0.5 * abs(np.dot(u, np.roll(v, -1)) - np.dot(v, np.roll(u, -1)))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_tumour_s_contours_have_the_area_of_its_cross_section(number):
    tumour = PHANTOM.tumours[number]
    shape = phantom_shapes(PHANTOM, territories=False)[1 + number]
    grid = slab((60, 90, 128), (3.0, 3.0, 3.0))
    a, b, c = tumour.half_axes_mm
    checked = 0
    for index in range(60):
        height = (grid.affine_lps_mm @ [index, 0, 0, 1])[2] - tumour.centre_mm[2]
        contours = plane_contours(shape, grid, index)
        if abs(height) >= c:
            assert contours == []
        elif abs(height) < 0.95 * c:
            assert len(contours) == 1
            assert area(contours[0], grid) == pytest.approx(np.pi * a * b * (1 - (height / c) ** 2), rel=0.01)
            checked += 1
    assert checked >= 9


@pytest.mark.parametrize("tilt", [(0, 0, 0), (20, 0, 0), (-12, 17, 5)], ids=["transverse", "oblique", "double oblique"])
def test_a_sphere_s_contours_have_its_volume_on_planes_of_any_orientation(tilt):
    shape, radius = sphere("S", (-60.0, 10.0, 5.0), 25.0), 25.0
    grid = slab((120, 60, 60), (1.0, 3.0, 3.0), tilt_deg=tilt, centre_mm=(-60.0, 10.0, 5.0))
    volume, points = 0.0, []
    for index in range(120):
        for contour in plane_contours(shape, grid, index):
            volume += area(contour, grid) * 1.0
            points.append(contour)
    assert volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.005)
    distances = np.linalg.norm(np.concatenate(points) - [-60.0, 10.0, 5.0], axis=1)
    assert distances == pytest.approx(np.full(len(distances), radius), abs=0.05)


def test_the_liver_s_contours_have_the_area_of_its_cross_section():
    shape = phantom_shapes(PHANTOM, territories=False)[0]
    grid = slab((9, 90, 128), (15.0, 3.0, 3.0))
    fine = np.arange(-150.0, 110.0, 0.5)
    x, y = np.meshgrid(fine, fine, indexing="ij")
    for index in range(9):
        z = (grid.affine_lps_mm @ [index, 0, 0, 1])[2]
        inside = PHANTOM.liver(np.array([x, y, np.full_like(x, z)])) < 0
        enclosed = sum(area(contour, grid) for contour in plane_contours(shape, grid, index))
        assert enclosed == pytest.approx(np.count_nonzero(inside) * 0.25, rel=0.01)


def test_the_halves_share_the_liver_between_them():
    liver, right, left, *_ = phantom_shapes(PHANTOM, territories=True)
    grid = slab((5, 90, 128), (20.0, 3.0, 3.0))
    for index in range(5):
        parts = [
            sum(area(contour, grid) for contour in plane_contours(shape, grid, index)) for shape in (liver, right, left)
        ]
        assert parts[1] + parts[2] == pytest.approx(parts[0], rel=0.01)
    assert [right.name, left.name] == ["Right liver", "Left liver"]
    assert PHANTOM.tumours[1].side is Territory.LEFT


def test_the_structure_set_refers_to_the_planes_that_it_is_drawn_on(tmp_path):
    import pydicom

    from console.demo.phantom_acquisition import AcquisitionOptions
    from console.demo.phantom_dicom import small_options, write_phantom

    tiny = AcquisitionOptions(shape=(2, 8, 8), spacing_mm=(60.0, 30.0, 30.0), echo_times_s=(0.001, 0.002))
    phantom = write_phantom(
        tmp_path / "p", small_options(acquisition=tiny, anatomy_spacing_mm=(6.0, 6.0, 6.0), fractions=1)
    )
    planes = {ds.SOPInstanceUID: ds for ds in map(pydicom.dcmread, sorted(phantom.anatomy.iterdir()))}
    ds = pydicom.dcmread(next(phantom.structures.iterdir()))
    assert ds.SOPClassUID == RTStructureSetStorage
    frame = ds.ReferencedFrameOfReferenceSequence[0]
    series = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == next(iter(planes.values())).SeriesInstanceUID
    assert {item.ReferencedSOPInstanceUID for item in series.ContourImageSequence} == set(planes)
    assert frame.FrameOfReferenceUID == next(iter(planes.values())).FrameOfReferenceUID
    n_contours = 0
    for roi in ds.ROIContourSequence:
        for contour in roi.ContourSequence:
            plane = planes[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
            points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
            assert len(points) == int(contour.NumberOfContourPoints)
            assert points[:, 2] == pytest.approx(np.full(len(points), float(plane.ImagePositionPatient[2])), abs=1e-3)
            n_contours += 1
    assert n_contours > 25
