"""Pixels of every transfer syntax that Holmia reads, and of those that lie about themselves."""

import shutil
import subprocess
from io import BytesIO
from itertools import pairwise

import gdcm
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    JPEG2000,
    MPEG2MPML,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
)

from dicom_listener import pixels
from dicom_listener.codestreams import (
    CodedFrame,
    CodestreamError,
    jpeg_2000_frame,
    jpeg_lossless_frame,
    jpeg_ls_frame,
)
from dicom_listener.pixels import PixelError, same_pixels, stored_values
from dicom_listener.same_content import same_content

GDCM_SYNTAXES = {
    JPEGLosslessSV1: gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    JPEGLSLossless: gdcm.TransferSyntax.JPEGLSLossless,
    JPEG2000Lossless: gdcm.TransferSyntax.JPEG2000Lossless,
}
JPEG_FAMILY = [pytest.param(syntax, id=syntax.name.split(",")[0].replace(" ", "-")) for syntax in GDCM_SYNTAXES]
COMPRESSED = [*JPEG_FAMILY, pytest.param(RLELossless, id="RLE")]


def image(values, *, stored, syntax=ExplicitVRLittleEndian):
    """An uncompressed MR object of (frame, row, column)."""
    made = Dataset()
    made.SOPClassUID = MRImageStorage if len(values) == 1 else EnhancedMRImageStorage
    made.SOPInstanceUID, made.SeriesInstanceUID, made.PatientID = "1.2.3.4", "1.2.3", "EM1-004"
    if len(values) > 1:
        made.NumberOfFrames = len(values)
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = values.shape[1:]
    made.BitsAllocated, made.BitsStored, made.HighBit = values.dtype.itemsize * 8, stored, stored - 1
    made.PixelRepresentation = int(values.dtype.kind == "i")
    made.PixelData = values.tobytes() + bytes(values.nbytes % 2)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    return made


def noise(*, stored, signed, frames=1, rows=13, columns=17, seed=4):
    """All that so many bits can hold, both ends included."""
    low, high = (-(1 << stored - 1), (1 << stored - 1) - 1) if signed else (0, (1 << stored) - 1)
    values = np.random.default_rng(seed).integers(low, high + 1, (frames, rows, columns))
    values[:, 0, :2] = low, high
    return values.astype(("i" if signed else "u") + ("1" if stored <= 8 else "2"))


def written(dataset):
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def compressed(dataset, syntax, folder):
    """The same object as another program compresses it: pydicom for RLE, GDCM for the others."""
    if syntax == RLELossless:
        dataset.compress(RLELossless, generate_instance_uid=False)
        return dataset
    source, target = folder / "uncompressed.dcm", folder / "compressed.dcm"
    source.write_bytes(written(dataset))
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(GDCM_SYNTAXES[syntax]))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    made = pydicom.dcmread(target)
    assert made.file_meta.TransferSyntaxUID == syntax
    made.SOPInstanceUID, made.SeriesInstanceUID = "1.2.3.4", "1.2.3"
    return made


def with_frames(dataset, frames):
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].is_undefined_length = True
    return dataset


def frames_of(dataset):
    return list(generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames") or 1)))


@pytest.mark.parametrize("syntax", COMPRESSED)
@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("stored", [12, 16])
def test_lossless_compression_gives_back_every_pixel(syntax, frames, signed, stored, tmp_path):
    values = noise(stored=stored, signed=signed, frames=frames)
    decoded = stored_values(compressed(image(values, stored=stored), syntax, tmp_path))
    assert decoded.dtype == values.dtype
    np.testing.assert_array_equal(decoded, values)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless, RLELossless], ids=["ls", "2000", "rle"])
def test_eight_bits_are_read_too(syntax, tmp_path):
    values = noise(stored=8, signed=False, rows=16, columns=16)
    np.testing.assert_array_equal(stored_values(compressed(image(values, stored=8), syntax, tmp_path)), values)


@pytest.mark.parametrize(
    ("program", "options", "syntax"),
    [
        ("dcmcjpeg", ["+e1"], JPEGLosslessSV1),
        ("dcmcjpls", [], JPEGLSLossless),
        ("dcmcjpls", ["+pc"], JPEGLSLossless),  # the stored bits only, 12; it codes no signed ones so
    ],
    ids=["jpeg-lossless", "jpeg-ls", "jpeg-ls-12-bit"],
)
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_another_encoder_gives_back_every_pixel(program, options, syntax, signed, tmp_path):
    if shutil.which(program) is None:
        pytest.skip(f"{program} of DCMTK is not installed")
    values = noise(stored=12, signed=signed and "+pc" not in options)
    (tmp_path / "a.dcm").write_bytes(written(image(values, stored=12)))
    subprocess.run([program, *options, tmp_path / "a.dcm", tmp_path / "b.dcm"], check=True, timeout=30)
    made = pydicom.dcmread(tmp_path / "b.dcm")
    assert made.file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(stored_values(made), values)


@pytest.mark.parametrize("syntax", JPEG_FAMILY)
def test_a_frame_may_come_in_several_fragments(syntax, tmp_path):
    values = noise(stored=12, signed=False, frames=2)
    made = compressed(image(values, stored=12), syntax, tmp_path)
    made.PixelData = encapsulate(frames_of(made), fragments_per_frame=3)
    np.testing.assert_array_equal(stored_values(made), values)


@pytest.mark.parametrize("syntax", JPEG_FAMILY)
def test_a_truncated_codestream_is_refused(syntax, tmp_path):
    made = compressed(image(noise(stored=12, signed=False), stored=12), syntax, tmp_path)
    (whole,) = frames_of(made)
    for share in (0.02, 0.2, 0.6, 0.95):
        with pytest.raises(PixelError, match=r"cut off|no JPEG"):
            stored_values(with_frames(made, [whole[: 2 * round(share * len(whole) / 2)]]))


@pytest.mark.parametrize("syntax", COMPRESSED)
def test_random_bytes_in_the_fragments_are_refused(syntax, tmp_path):
    made = compressed(image(noise(stored=12, signed=False), stored=12), syntax, tmp_path)
    rng = np.random.default_rng(5)
    for size in (2, 64, 1000):
        with pytest.raises(PixelError, match=r"Frame 1 cannot be decoded|cannot come from"):
            stored_values(with_frames(made, [rng.bytes(size)]))


@pytest.mark.parametrize("syntax", JPEG_FAMILY)
@pytest.mark.parametrize(("keyword", "value"), [("Rows", 12), ("Columns", 18), ("BitsAllocated", 8)])
def test_a_codestream_that_says_otherwise_than_the_header_is_refused(syntax, keyword, value, tmp_path):
    made = compressed(image(noise(stored=12, signed=False), stored=12), syntax, tmp_path)
    setattr(made, keyword, value)
    made.BitsStored = min(made.BitsStored, made.BitsAllocated)
    made.HighBit = made.BitsStored - 1
    with pytest.raises(PixelError, match="the header says"):
        stored_values(made)


def test_a_codestream_that_claims_the_largest_image_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(pixels, "get_decoder", lambda _: pytest.fail("a decoder was asked"))
    made = compressed(image(noise(stored=12, signed=False), stored=12), JPEG2000Lossless, tmp_path)
    (frame,) = frames_of(made)
    lying = frame[:8] + b"\xff\xff\xff\xff" * 2 + frame[16:]
    with pytest.raises(PixelError, match="4294967295 rows"):
        stored_values(with_frames(made, [lying]))


@pytest.mark.parametrize("syntax", COMPRESSED)
def test_a_header_that_claims_more_than_there_is_allocates_nothing(syntax, tmp_path):
    made = compressed(image(noise(stored=12, signed=False), stored=12), syntax, tmp_path)
    made.Rows = made.Columns = 65535
    made.NumberOfFrames = 65535
    with pytest.raises(PixelError, match="cannot come from"):
        stored_values(made)


@pytest.mark.parametrize("syntax", COMPRESSED)
@pytest.mark.parametrize("declared", [2, 4])
def test_another_number_of_frames_than_declared_is_refused(syntax, declared, tmp_path):
    made = compressed(image(noise(stored=12, signed=False, frames=3), stored=12), syntax, tmp_path)
    made = with_frames(made, frames_of(made))
    made.NumberOfFrames = declared
    with pytest.raises(PixelError, match=r"coded frames, the header declares|fragments"):
        stored_values(made)


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEG2000, MPEG2MPML], ids=["jpeg", "jpeg-2000", "mpeg"])
def test_what_may_have_lost_something_is_refused(syntax):
    made = with_frames(image(noise(stored=8, signed=False), stored=8), [b"\xff\xd8\xff\xd9"])
    made.file_meta.TransferSyntaxUID = syntax
    with pytest.raises(PixelError, match="send the series uncompressed"):
        stored_values(made)


def test_loss_under_the_name_of_a_lossless_syntax_is_refused(tmp_path):
    made = compressed(image(noise(stored=12, signed=False), stored=12), JPEG2000Lossless, tmp_path)
    (frame,) = frames_of(made)
    coding = frame.index(b"\xff\x52")
    assert frame[coding + 13] == 1
    with pytest.raises(CodestreamError, match="with loss"):
        jpeg_2000_frame(frame[: coding + 13] + b"\0" + frame[coding + 14 :])
    made = compressed(image(noise(stored=12, signed=False), stored=12), JPEGLSLossless, tmp_path)
    (frame,) = frames_of(made)
    scan = frame.index(b"\xff\xda")
    with pytest.raises(CodestreamError, match="with loss"):
        jpeg_ls_frame(frame[: scan + 7] + b"\x02" + frame[scan + 8 :])
    made = compressed(image(noise(stored=12, signed=False), stored=12), JPEGLosslessSV1, tmp_path)
    (frame,) = frames_of(made)
    with pytest.raises(CodestreamError, match="another process"):
        jpeg_lossless_frame(frame.replace(b"\xff\xc3", b"\xff\xc1", 1))


@pytest.mark.parametrize(
    ("syntax", "read"),
    [(JPEGLosslessSV1, jpeg_lossless_frame), (JPEGLSLossless, jpeg_ls_frame), (JPEG2000Lossless, jpeg_2000_frame)],
    ids=["lossless", "ls", "2000"],
)
def test_a_codestream_is_read_from_any_bytes_or_refused(syntax, read, tmp_path):
    made = compressed(image(noise(stored=12, signed=False), stored=12), syntax, tmp_path)
    (frame,) = frames_of(made)
    assert read(frame) == CodedFrame(rows=13, columns=17, samples=1, bits=16)
    rng = np.random.default_rng(6)
    outcomes = set()
    for _ in range(300):
        changed = bytearray(frame)
        for position in rng.integers(0, 120, 3):
            changed[position % len(changed)] = rng.integers(256)
        try:
            read(bytes(changed))
            outcomes.add("read")
        except CodestreamError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize("syntax", COMPRESSED)
def test_an_instance_is_the_same_in_every_transfer_syntax(syntax, tmp_path):
    values = noise(stored=12, signed=True, frames=2)
    one = image(values, stored=12)
    files = [written(one), written(image(values, stored=12, syntax=ImplicitVRLittleEndian))]
    coded = compressed(image(values, stored=12), syntax, tmp_path)
    again = image(values, stored=12)  # GDCM adds elements of its own
    again.PixelData, again.file_meta.TransferSyntaxUID = coded.PixelData, syntax
    again["PixelData"].is_undefined_length = True
    files.append(written(again))
    other = values.copy()
    other[1, 3, 3] += 1
    changed = written(image(other, stored=12))
    for one, two in pairwise(files):
        assert same_content(one, two, same_pixels=same_pixels)
        assert same_content(two, one, same_pixels=same_pixels)
    assert not same_content(changed, files[-1], same_pixels=same_pixels)
    # Without a process of its own for it, no native codec meets what a peer sent: another content, and both are kept.
    assert same_content(files[0], files[-1]) is (syntax == RLELossless)


def test_colours_are_compared_and_not_read():
    rng = np.random.default_rng(7)
    values = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    made = image(values[..., 0][None], stored=8)
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "RGB", 0
    made.PixelData = values.tobytes()
    native = written(made)
    made.compress(RLELossless, generate_instance_uid=False)
    assert same_pixels(native, written(made))
    with pytest.raises(PixelError, match="grey-scale"):
        stored_values(made)
    made = pydicom.dcmread(BytesIO(native))
    made.PixelData = values[::-1].tobytes()
    assert not same_pixels(native, written(made))


def test_objects_without_pixels_have_the_same_ones():
    made = image(noise(stored=12, signed=False), stored=12)
    pixels_only = written(made)
    del made.PixelData
    assert same_pixels(written(made), written(made))
    assert not same_pixels(written(made), pixels_only)
    assert not same_pixels(b"", b"no DICOM")


def test_the_high_bit_may_be_left_out_and_has_to_fit_the_stored_bits():
    values = np.arange(16, dtype=np.uint16).reshape(1, 4, 4) * 200
    made = image(values, stored=12)
    assert np.array_equal(stored_values(made), values)
    del made.HighBit
    assert np.array_equal(stored_values(made), values)
    for high_bit in (0, 10, 16, 200):
        made.HighBit = high_bit
        with pytest.raises(PixelError, match=f"The high bit {high_bit} does not fit 12 stored bits"):
            stored_values(made)
