"""Parametric maps hold the very values of the maps, in their place, with quantity and unit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from written import enhanced, errors_of_dciodvfy, file_bytes

from console.outputs.dicom.frames import reference_grid
from console.outputs.dicom.parametric_map import QUANTITIES, parametric_map
from console.outputs.error import OutputError
from console.outputs.nifti import derived_arrays, map_arrays


def in_patient(dataset) -> tuple[np.ndarray, np.ndarray]:
    """Position (frame, row, column, 3) LPS mm and value of every voxel, from the attributes alone."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    along_row, along_column = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    between_rows, between_columns = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    first = np.array(
        [f.PlanePositionSequence[0].ImagePositionPatient for f in dataset.PerFrameFunctionalGroupsSequence], float
    )
    row, column = np.mgrid[: dataset.Rows, : dataset.Columns]
    within = row[..., None] * between_rows * along_column + column[..., None] * between_columns * along_row
    values = np.frombuffer(dataset.FloatPixelData, dtype="<f4").reshape(-1, dataset.Rows, dataset.Columns)
    return first[:, None, None] + within, values


@pytest.fixture(scope="module", params=list(QUANTITIES))
def written(treated, request):
    """Every map of the last fraction, written and read back, by its quantity."""
    made = parametric_map(treated, treated.snapshot.results[3], request.param)
    return request.param, dcmread(DicomBytesIO(file_bytes(made)))


def test_values_are_bit_for_bit_those_of_the_map_in_patient_coordinates(treated, written):
    (quantity, made), result, grid = written, treated.snapshot.results[3], reference_grid(treated)
    points, values = in_patient(made)
    there = points @ grid.index_from_lps[:3, :3].T + grid.index_from_lps[:3, 3]
    assert np.abs(there - np.rint(there)).max() < 1e-6
    own, _ = {**map_arrays(result), **derived_arrays(result)}[quantity]
    found = np.full(grid.shape, -1.0, dtype=np.float32)
    found[tuple(np.moveaxis(np.rint(there).astype(int), -1, 0))] = values
    assert found.tobytes() == np.ascontiguousarray(own).tobytes()
    assert np.isnan(found).any(), "voxels that are not evaluable have to be among them"


def test_slices_descend_along_the_normal_as_stated(written):
    points, _ = in_patient(written[1])
    along_row, along_column = points[0, 0, 1] - points[0, 0, 0], points[0, 1, 0] - points[0, 0, 0]
    steps = np.diff(points[:, 0, 0], axis=0) @ np.cross(along_row, along_column)
    assert (steps < 0).all()


def test_dciodvfy_finds_no_error(written, tmp_path):
    assert errors_of_dciodvfy(written[1], tmp_path) == []


CODED = {
    "r2star": ("/s", "DCM", "126395"),
    "holmium": ("mg/mL", "99HOLMIA", "MICROSPHERES"),
    "dose": ("Gy", "DCM", "128513"),
    "dose_standard_error": ("Gy", "99HOLMIA", "DOSE_U"),
}


def test_quantity_and_unit_are_coded_and_the_mapping_is_the_identity(written):
    quantity, made = written
    mapping = made.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    coded = mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0]
    unit = mapping.MeasurementUnitsCodeSequence[0].CodeValue
    assert (unit, coded.CodingSchemeDesignator, coded.CodeValue) == CODED[quantity]
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1.0, 0.0)
    values = np.frombuffer(made.FloatPixelData, dtype="<f4")
    assert mapping.DoubleFloatRealWorldValueFirstValueMapped == np.nanmin(values)
    assert mapping.DoubleFloatRealWorldValueLastValueMapped == np.nanmax(values)


def test_the_window_is_that_of_the_volumes_whatever_the_edge_of_the_body_holds(oblique):
    result = oblique.snapshot.results[3]
    dose = result.maps.dose
    inside = np.any([v.occupancy > 0 for v in oblique.snapshot.volumes], axis=0)
    stray = replace(dose, values=np.where(inside, dose.values, np.float32(1e5)))
    made = parametric_map(oblique, replace(result, maps=replace(result.maps, dose=stray)), "dose")
    window = made.SharedFunctionalGroupsSequence[0].FrameVOILUTSequence[0]
    assert float(window.WindowWidth) <= np.nanmax(dose.values[inside])


def test_it_says_what_it_is_of_and_what_made_it(oblique):
    made = parametric_map(enhanced(oblique), oblique.snapshot.results[1], "dose")
    assert "RHA F2" in made.SeriesDescription
    for text in ("For research use only", oblique.snapshot.settings_sha256, oblique.snapshot.head_hash, "cumulative"):
        assert text in made.DerivationDescription
    assert made.ContentQualification == "RESEARCH"
    tried = replace(oblique, snapshot=replace(oblique.snapshot, overrides={"fit.method": "ml"}))
    what_if = parametric_map(tried, oblique.snapshot.results[1], "dose")
    assert "WHAT-IF" in what_if.DerivationDescription
    assert what_if.SeriesDescription.startswith("WHAT-IF ")
    assert what_if.SOPInstanceUID != made.SOPInstanceUID


def test_the_same_export_has_the_same_bytes_and_no_other_map_its_identifiers(oblique):
    first, second = oblique.snapshot.results[:2]
    made = [parametric_map(oblique, result, q) for result, q in ((first, "dose"), (first, "holmium"), (second, "dose"))]
    assert file_bytes(made[0]) == file_bytes(parametric_map(oblique, first, "dose"))
    assert len({own.SOPInstanceUID for own in made}) == len({own.SeriesInstanceUID for own in made}) == 3


def test_a_map_without_any_value_can_be_written(oblique, tmp_path):
    result = oblique.snapshot.results[0]
    empty = replace(result.maps.dose, values=np.full_like(result.maps.dose.values, np.nan))
    made = parametric_map(oblique, replace(result, maps=replace(result.maps, dose=empty)), "dose")
    assert errors_of_dciodvfy(made, tmp_path) == []


def test_a_map_that_is_not_there_is_said(oblique):
    failed = replace(oblique.snapshot.results[0], maps=None, error="the slab was moved")
    with pytest.raises(OutputError, match=r"RHA F1 has no map 'dose'.*the slab was moved"):
        parametric_map(oblique, failed, "dose")
