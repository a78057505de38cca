"""Decoding of real scanner files, and of what should never bring it down."""

from datetime import datetime
from io import BytesIO
from zoneinfo import ZoneInfo

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from dicom_listener.decode import decode
from dicom_listener.images import ImageKind, Sequence

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
PIXELS = np.arange(4 * 6, dtype=np.uint16).reshape(4, 6) * 150


def classic(pixels=PIXELS, **changes):
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID = MRImageStorage
    made.SOPInstanceUID = "1.2.3.4"
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2", "1.2.3", "1.9"
    made.PatientID, made.PatientName, made.PatientBirthDate = "EM1-004", "Müller^Anna", "19600229"
    made.Manufacturer = "SIEMENS"
    made.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    made.ScanningSequence = "GR"
    made.EchoTime = "1.2"
    made.MagneticFieldStrength = "3"
    made.AcquisitionDate, made.AcquisitionTime = "20260304", "101233.25"
    made.AcquisitionNumber, made.SeriesNumber = 1, 5
    made.ImagePositionPatient = [1.5, -2.5, 30]
    made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    made.PixelSpacing = [3, 2.5]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = pixels.shape[-2:]
    made.BitsAllocated = made.BitsStored = pixels.dtype.itemsize * 8
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    made.PixelData = pixels.tobytes()
    for keyword, value in changes.items():
        if value is None:
            del made[keyword]
        else:
            setattr(made, keyword, value)
    return made


def written(dataset, syntax=ExplicitVRLittleEndian):
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    out = BytesIO()
    pydicom.dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()


def decoded(dataset, syntax=ExplicitVRLittleEndian):
    return decode(written(dataset, syntax), time_zone=AMSTERDAM)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian], ids=["explicit", "implicit"])
def test_a_classic_image_is_read(syntax):
    found = decoded(classic(), syntax)
    (image,) = found.images
    assert found.reason == ""
    assert np.array_equal(image.signal, PIXELS)
    assert image.signal.dtype == np.float32
    assert image.echo_time_s == 0.0012
    assert image.position_mm == (1.5, -2.5, 30.0)
    assert (image.row_direction, image.column_direction) == ((1, 0, 0), (0, 1, 0))
    assert image.pixel_spacing_mm == (3.0, 2.5)
    assert image.acquired_at == datetime(2026, 3, 4, 10, 12, 33, 250_000, tzinfo=AMSTERDAM)
    assert (image.kind, image.sequence, image.field_strength_t) == (ImageKind.MAGNITUDE, Sequence.GRADIENT_ECHO, 3.0)
    assert (found.patient.id, found.patient.name) == ("EM1-004", "Müller^Anna")
    assert found.patient.birth_date.isoformat() == "1960-02-29"


def test_one_declared_frame_in_a_classic_image_is_fine():
    assert len(decoded(classic(NumberOfFrames=1)).images) == 1


def test_signed_pixels_and_spare_bits_are_read():
    signed = np.array([[-5, 7], [0, -2048]], dtype=np.int16)
    (image,) = decoded(classic(signed)).images
    assert np.array_equal(image.signal, signed)
    overlay = np.array([[5, 0xF007], [0x1000, 0x0FFF]], dtype=np.uint16)
    (image,) = decoded(classic(overlay, BitsStored=12, HighBit=11)).images
    assert image.signal.tolist() == [[5, 7], [0, 4095]]
    (image,) = decoded(classic((signed & 0x0FFF).astype(np.int16), BitsStored=12, HighBit=11)).images
    assert np.array_equal(image.signal, signed)


def rle(pixels):
    """One frame by PS3.5 annex G, bytes as literal runs: two segments, high bytes first."""
    segments = []
    for byte in (1, 0):
        plane = pixels.astype("<u2").tobytes()[byte::2]
        runs = b"".join(bytes([len(plane[i : i + 128]) - 1]) + plane[i : i + 128] for i in range(0, len(plane), 128))
        segments.append(runs + b"\0" * (len(runs) % 2))
    offsets = [2, 64, 64 + len(segments[0])] + [0] * 13
    return np.array(offsets, dtype="<u4").tobytes() + b"".join(segments)


def test_rle_is_decoded():
    made = classic(PixelData=encapsulate([rle(PIXELS)]))
    made["PixelData"].is_undefined_length = True
    (image,) = decoded(made, RLELossless).images
    assert np.array_equal(image.signal, PIXELS)


def test_an_rle_header_that_lies_is_refused_before_decoding():
    made = classic(PixelData=encapsulate([rle(PIXELS)]), Rows=65535, Columns=65535)
    made["PixelData"].is_undefined_length = True
    found = decoded(made, RLELossless)
    assert found.images == ()
    assert "cannot come from" in found.reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"Rows": 65535, "Columns": 65535}, "need 8589672450"),
        ({"PixelData": PIXELS.tobytes()[:-2]}, "truncated"),
        ({"PixelData": None}, "no pixel data"),
        ({"Rows": 0}, "no pixels"),
        ({"BitsAllocated": 12}, "grey-scale"),
        ({"SamplesPerPixel": 3}, "grey-scale"),
        ({"NumberOfFrames": 2, "Rows": 2}, "one frame was expected"),
        ({"ImagePositionPatient": None}, "ImagePositionPatient"),
        ({"PixelSpacing": [0, 3]}, "PixelSpacing"),
        ({"ImageOrientationPatient": [1, 0, 0]}, "ImageOrientationPatient"),
        ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, "not two unit vectors at right angles"),
        ({"ImageOrientationPatient": [1, 0, 0, 0.1, 0.995, 0]}, "not two unit vectors at right angles"),
        ({"ImagePositionPatient": ["1e308", 0, 0]}, "not in a scanner"),
        ({"PixelSpacing": ["1e300", 3]}, "PixelSpacing"),
        ({"RescaleSlope": "1e38"}, "overflows"),
        ({"RescaleSlope": "1e308"}, "overflows"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "mosaic"),
        ({"RescaleSlope": "0"}, "scaling"),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, "Secondary Capture Image Storage objects are recorded"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_used_says_why_and_keeps_its_identity(changes, words):
    found = decoded(classic(**changes))
    assert found.images == ()
    assert words in found.reason
    assert found.reason.endswith(".")
    assert (found.sop_instance_uid, found.patient.id) == ("1.2.3.4", "EM1-004")


@pytest.mark.parametrize("stated", ["1e308", "-3", "10001", "nonsense"])
def test_an_impossible_echo_time_is_none(stated):
    made = classic()
    made.add_new("EchoTime", "LO", stated)
    (image,) = decoded(made, ImplicitVRLittleEndian).images
    assert image.echo_time_s is None


def test_a_number_that_no_representation_holds_is_none():
    made = classic(ImagesInAcquisition="9999999999")
    (image,) = decoded(made).images
    assert image.declared_images is None


def test_directions_that_are_rounded_are_directions():
    made = classic(ImageOrientationPatient=[0.9848, 0.1736, 0, -0.1736, 0.9848, 0])
    assert decoded(made).images[0].row_direction == (0.9848, 0.1736, 0.0)


def test_a_compressed_image_asks_for_an_uncompressed_one():
    made = classic(PixelData=encapsulate([b"\xff\x4f\xff\x51"]))
    made["PixelData"].is_undefined_length = True
    assert "send the series uncompressed" in decoded(made, JPEG2000Lossless).reason


def test_deflated_bytes_are_never_inflated():
    assert "Deflated" in decoded(classic(), DeflatedExplicitVRLittleEndian).reason


def nested(depth):
    """`depth` sequences of undefined length in one another, as bytes."""
    body = bytes.fromhex("0800401153510000fffffffffeff00e0ffffffff") * depth
    return body + bytes.fromhex("feff0de000000000feffdde000000000") * depth


@pytest.mark.parametrize(
    "data",
    [b"", b"GET / HTTP/1.1\r\n\r\n", b"MZ" + b"\0" * 500, b"\0" * 128 + b"DICM", written(classic())[:700]],
    ids=["nothing", "http", "executable", "no meta", "truncated"],
)
def test_no_bytes_raise(data):
    found = decode(data, time_zone=AMSTERDAM)
    assert found.images == ()
    assert found.reason


def test_deep_nesting_is_survived():
    start = written(classic(PixelData=None))
    cut = start.index(bytes.fromhex("20000d00"))  # before StudyInstanceUID
    found = decode(start[:cut] + nested(20_000), time_zone=AMSTERDAM)
    assert found.images == ()
    assert found.reason


def test_every_truncation_and_many_flipped_bytes_are_survived():
    whole = bytearray(written(classic()))
    for end in range(0, len(whole), 37):
        decode(bytes(whole[:end]), time_zone=AMSTERDAM)
    random = np.random.default_rng(1)
    for _ in range(200):
        hurt = whole.copy()
        for at in random.integers(132, len(whole), 3):
            hurt[at] = random.integers(256)
        decode(bytes(hurt), time_zone=AMSTERDAM)


@pytest.mark.parametrize("charset", ["ISO_IR 999", "ISO 2022 IR 87\\nonsense", ""])
def test_a_malformed_character_set_gives_replacements(charset):
    data = written(classic(PatientName="M\u00fcller"))
    at = data.index(b"ISO_IR 192")
    data = data[:at] + charset.encode().ljust(10)[:10] + data[at + 10 :]
    found = decode(data, time_zone=AMSTERDAM)
    assert found.patient.id == "EM1-004"
    assert found.patient.name.startswith("M")
    assert len(found.images) == 1


def test_japanese_names_with_code_extensions_are_read():
    made = classic(SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="Yamada^Tarou=山田^太郎")
    assert decoded(made).patient.name == "Yamada^Tarou=山田^太郎"


def test_a_substitute_time_is_said_and_used():
    made = classic(AcquisitionDate=None, AcquisitionTime=None, ContentDate="20260304", ContentTime="101300")
    found = decoded(made)
    assert found.images[0].acquired_at == datetime(2026, 3, 4, 10, 13, tzinfo=AMSTERDAM)
    assert "ContentDate" in found.reason


def test_philips_magnitude_frames_are_scaled_back_to_signal(real_data):
    path = real_data / "philips_enhanced_2echo" / "IM_0014"
    found = decode(path.read_bytes(), time_zone=AMSTERDAM)
    assert found.reason == ""
    kinds = [image.kind for image in found.images]
    assert {kind: kinds.count(kind) for kind in ImageKind} == dict.fromkeys(ImageKind, 26) | {ImageKind.DERIVED: 0}
    source = pydicom.dcmread(path)
    stored = source.pixel_array
    for index, item in enumerate(source.PerFrameFunctionalGroupsSequence):
        rescale = item.PixelValueTransformationSequence[0]
        slope, intercept = float(rescale.RescaleSlope), float(rescale.RescaleIntercept)
        scale_slope = item[0x2005, 0x140F][0][0x2005, 0x100E].value
        expected = (stored[index] * slope + intercept) / (slope * scale_slope)
        image = found.images[index]
        np.testing.assert_allclose(image.signal, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
        assert image.position_mm == pytest.approx(tuple(item.PlanePositionSequence[0].ImagePositionPatient))
        assert image.echo_time_s == pytest.approx(item.MREchoSequence[0].EffectiveEchoTime / 1000)
        assert image.acquired_at == datetime(2021, 6, 16, 11, 17, 58, 110_000, tzinfo=AMSTERDAM)


def test_siemens_xa_enhanced_objects_are_read(real_data):
    folder = real_data / "siemens_xa30_enhanced_2echo"
    found = [decode(path.read_bytes(), time_zone=AMSTERDAM) for path in sorted(folder.glob("*.dcm"))]
    assert [{image.kind for image in one.images} for one in found] == [
        {ImageKind.MAGNITUDE},
        {ImageKind.PHASE},
        {ImageKind.MAGNITUDE},
    ]
    assert [one.images[0].echo_time_s for one in found] == [0.01, 0.01246, 0.01246]
    assert all(image.sequence is Sequence.GRADIENT_ECHO for one in found for image in one.images)
    assert found[0].images[0].acquired_at.isoformat() == "2022-07-11T12:09:41.877500+02:00"
    assert np.array_equal(found[0].images[5].signal, pydicom.dcmread(sorted(folder.glob("*.dcm"))[0]).pixel_array[5])


def test_siemens_classic_files_are_read(real_data):
    paths = sorted((real_data / "siemens_gre_6echo").glob("*.dcm"))
    for path in (paths[3], paths[-1]):
        (image,) = decode(path.read_bytes(), time_zone=AMSTERDAM).images
        source = pydicom.dcmread(path)
        assert np.array_equal(image.signal, source.pixel_array)
        assert image.kind is {"M": ImageKind.MAGNITUDE, "P": ImageKind.PHASE}[source.ImageType[2]]


def functional(keyword, **elements):
    item = Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return keyword, DicomSequence([item])


def test_a_legacy_converted_object_keeps_its_classic_attributes_in_unassigned_groups():
    moved = "EchoTime ScanningSequence MagneticFieldStrength ImagePositionPatient ImageOrientationPatient PixelSpacing"
    absent = dict.fromkeys([*moved.split(), "AcquisitionDate", "AcquisitionTime"])
    made = classic(np.stack([PIXELS, PIXELS + 1]), NumberOfFrames=2, **absent)
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4.4"
    shared, frames = Dataset(), []
    for keyword, sequence in (
        functional("PixelMeasuresSequence", PixelSpacing=[3, 3]),
        functional("PlaneOrientationSequence", ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
        functional("UnassignedSharedConvertedAttributesSequence", ScanningSequence="GR", MagneticFieldStrength="1.5"),
    ):
        setattr(shared, keyword, sequence)
    for index in range(2):
        frame = Dataset()
        for keyword, sequence in (
            functional("PlanePositionSequence", ImagePositionPatient=[0, 0, 4 * index]),
            functional("MRImageFrameTypeSequence", FrameType=["ORIGINAL", "PRIMARY", "T2_STAR", "NONE"]),
            functional("FrameContentSequence", FrameAcquisitionDateTime=f"2026030410120{index}"),
            functional("UnassignedPerFrameConvertedAttributesSequence", EchoTime="4.6"),
            functional("PixelValueTransformationSequence", RescaleSlope="2", RescaleIntercept="-1"),
        ):
            setattr(frame, keyword, sequence)
        frames.append(frame)
    made.SharedFunctionalGroupsSequence = DicomSequence([shared])
    made.PerFrameFunctionalGroupsSequence = DicomSequence(frames)
    found = decoded(made)
    assert found.reason == ""
    assert [image.position_mm[2] for image in found.images] == [0.0, 4.0]
    assert {image.echo_time_s for image in found.images} == {0.0046}
    assert {image.field_strength_t for image in found.images} == {1.5}
    assert {image.sequence for image in found.images} == {Sequence.GRADIENT_ECHO}
    assert {image.kind for image in found.images} == {ImageKind.MAGNITUDE}
    assert [image.acquired_at.second for image in found.images] == [0, 1]
    assert np.array_equal(found.images[1].signal, (PIXELS + 1) * 2.0 - 1)
    made.PerFrameFunctionalGroupsSequence = DicomSequence(frames[:1])
    assert "describes 1" in decoded(made).reason
