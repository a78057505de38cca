"""RT Structure Sets."""

from zoneinfo import ZoneInfo

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RTStructureSetStorage

from dicom_listener.decode import decode


def item(**elements):
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def contour(points, kind="CLOSED_PLANAR", data=None):
    return item(
        ContourGeometricType=kind,
        NumberOfContourPoints=len(points),
        ContourData=[f"{x:.3f}" for x in np.ravel(points)] if data is None else data,
        ContourImageSequence=Sequence([item(ReferencedSOPClassUID="1.2", ReferencedSOPInstanceUID="1.2.7.7")]),
    )


TRIANGLE = [(0, 0, 1.25), (10, 0, 1.25), (0, 10, 1.25)]


def structure_set(regions, **changes):
    """`regions`: (number, name, frame of reference, contours)."""
    made = item(
        SOPClassUID=RTStructureSetStorage,
        SOPInstanceUID="1.2.9",
        SeriesInstanceUID="1.2.8",
        PatientID="EM1-004",
        StructureSetLabel="Liver v2",
        ReferencedFrameOfReferenceSequence=Sequence(
            [
                item(
                    FrameOfReferenceUID="1.9",
                    RTReferencedStudySequence=Sequence(
                        [item(RTReferencedSeriesSequence=Sequence([item(SeriesInstanceUID="1.2.7")]))]
                    ),
                )
            ]
        ),
        StructureSetROISequence=Sequence(
            [item(ROINumber=n, ROIName=name, ReferencedFrameOfReferenceUID=frame) for n, name, frame, _ in regions]
        ),
        ROIContourSequence=Sequence(
            [item(ReferencedROINumber=n, ContourSequence=Sequence(contours)) for n, _, _, contours in regions]
        ),
    )
    for keyword, value in changes.items():
        setattr(made, keyword, value)
    return made


def decoded(dataset, syntax=ExplicitVRLittleEndian):
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    out = DicomBytesIO()
    pydicom.dcmwrite(out, dataset, enforce_file_format=True)
    return decode(out.getvalue(), time_zone=ZoneInfo("Europe/Amsterdam"))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian], ids=["explicit", "implicit"])
def test_names_contours_and_references_are_read(syntax):
    found = decoded(
        structure_set([(3, "Liver", "1.9", [contour(TRIANGLE), contour(TRIANGLE)]), (7, "Tumour 1", "1.9", [])]), syntax
    )
    assert found.reason == ""
    assert found.patient.id == "EM1-004"
    read = found.structure_set
    assert (read.label, read.frame_of_reference_uid) == ("Liver v2", "1.9")
    assert read.referenced_series_uids == ("1.2.7",)
    assert [(s.number, s.name, len(s.contours)) for s in read.structures] == [(3, "Liver", 2), (7, "Tumour 1", 0)]
    first = read.structures[0].contours[0]
    assert np.array_equal(first.points_mm, TRIANGLE)
    assert first.referenced_sop_instance_uid == "1.2.7.7"
    assert not first.points_mm.flags.writeable


def test_points_and_open_contours_are_ignored():
    contours = [contour(TRIANGLE[:1], "POINT"), contour(TRIANGLE, "OPEN_PLANAR"), contour(TRIANGLE, "CLOSEDPLANAR_XOR")]
    found = decoded(structure_set([(1, "Liver", "1.9", contours)]))
    assert len(found.structure_set.structures[0].contours) == 1
    assert found.reason == ""


def test_unreadable_contours_are_counted_and_the_others_kept():
    contours = [contour(TRIANGLE), contour(TRIANGLE, data=["1", "2", "3", "4"])]
    found = decoded(structure_set([(1, "Liver", "1.9", contours)]))
    assert len(found.structure_set.structures[0].contours) == 1
    assert found.reason.startswith("1 contours of 'Liver' were ignored")


def test_structures_of_another_frame_of_reference_are_ignored_by_name():
    found = decoded(structure_set([(1, "Liver", "1.9", [contour(TRIANGLE)]), (2, "PET", "1.10", [contour(TRIANGLE)])]))
    assert [s.name for s in found.structure_set.structures] == ["Liver"]
    assert "another frame of reference were ignored: PET" in found.reason
    ((name, why),) = found.structure_set.unusable
    assert name == "PET"
    assert "another frame of reference" in why


def test_a_set_without_anything_is_a_set_without_structures():
    made = item(SOPClassUID=RTStructureSetStorage, SOPInstanceUID="1.2.9")
    found = decoded(made)
    assert found.structure_set.structures == ()
    assert found.structure_set.frame_of_reference_uid == ""


def test_a_large_set_is_read_whole():
    angle = np.linspace(0, 2 * np.pi, 600, endpoint=False)
    circle = np.column_stack([90 * np.cos(angle), 70 * np.sin(angle), np.full(600, 3.0)])
    made = structure_set([(1, "Liver", "1.9", [contour(circle)] * 60)])
    found = decoded(made)
    assert len(found.structure_set.structures[0].contours) == 60


def test_contours_of_fewer_than_three_points_do_not_cost_the_structure():
    contours = [contour(TRIANGLE), contour(TRIANGLE[:1]), contour(TRIANGLE[:2])]
    found = decoded(structure_set([(1, "Liver", "1.9", contours)]))
    assert len(found.structure_set.structures[0].contours) == 1
    assert found.reason == "2 contours of 'Liver' were ignored: fewer than three points enclose nothing."
    assert found.structure_set.remark == found.reason


def test_the_frame_of_reference_is_that_of_most_structures():
    """A planning system lists the CT's frame first, and all that was drawn was drawn on the MR."""
    regions = [(1, "CT ring", "1.8", []), (2, "Liver", "1.9", []), (3, "Tumour 1", "1.9", [])]
    frames = Sequence([item(FrameOfReferenceUID="1.8"), item(FrameOfReferenceUID="1.9")])
    read = decoded(structure_set(regions, ReferencedFrameOfReferenceSequence=frames)).structure_set
    assert read.frame_of_reference_uid == "1.9"
    assert [s.name for s in read.structures] == ["Liver", "Tumour 1"]
    assert [name for name, _ in read.unusable] == ["CT ring"]
