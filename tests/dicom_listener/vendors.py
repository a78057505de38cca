"""A known signal as each vendor writes it: DICOM bytes with that vendor's habits and traps, built from the phantom.

Only what a receiver can trip over is written: no patient module beyond the identity, no acquisition details. GE and
Siemens XA classic are after conformance statements and published descriptions; no file of theirs was at hand.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from io import BytesIO

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage

from console.demo.phantom_acquisition import SMALL, noiseless_signal, slab
from console.demo.phantom_dicom import PhantomOptions
from quantify.model import Grid

ECHO_TIMES_S = (0.00123, 0.0046, 0.00797)
STARTED_AT = datetime(2026, 3, 4, 10, 12, 0, 250_000)
M, P, R, I = "MPRI"  # noqa: E741
STORED_MAXIMUM = 4095


def uid(*parts):
    return f"2.25.{int.from_bytes(sha256(repr(parts).encode()).digest()[:15], 'big')}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """What was in front of the scanner: `signal` (echo, slice, row, column), slices along the grid's first axis."""

    signal: np.ndarray
    grid: Grid
    echo_times_s: tuple = ECHO_TIMES_S
    started_at: datetime = STARTED_AT
    protocol: str = "gre_holmium"
    name: str = "reference"
    number: int = 6
    repetition: int = 1
    scanning_sequence: str = "GR"
    slice_time_s: float = 0.4
    phase_rad: np.ndarray | None = None

    def shape(self):
        return self.signal.shape

    def spacing(self):
        return self.grid.spacing_mm

    def direction(self, axis):
        return self.grid.affine_lps_mm[:3, axis] / self.spacing()[axis]

    def position(self, index):
        return self.grid.affine_lps_mm[:3, :] @ (index, 0, 0, 1)

    def acquired_at(self, index, echo=0):
        return self.started_at + timedelta(seconds=self.slice_time_s * index + self.echo_times_s[echo])

    def part(self, kind, echo, index):
        """The magnitude, phase, real or imaginary image."""
        magnitude, phase = self.signal[echo, index], self.phase()[echo, index]
        return {M: magnitude, P: phase, R: magnitude * np.cos(phase), I: magnitude * np.sin(phase)}[kind]

    def phase(self):
        if self.phase_rad is not None:
            return self.phase_rad
        echoes, slices, rows, columns = (np.arange(n) for n in self.shape())
        turns = (
            0.31 * echoes[:, None, None, None]
            + 0.17 * slices[:, None, None]
            + 0.11 * rows[:, None]
            + 0.07 * columns
        )  # fmt: skip
        return 2 * np.pi * (turns % 1.0) - np.pi

    def ascending(self):
        """The slices in the order of the normal: (signal, affine)."""
        affine = self.grid.affine_lps_mm.copy()
        if np.dot(np.cross(self.direction(2), self.direction(1)), self.direction(0)) > 0:
            return self.signal, affine
        affine[:3, 3] = self.position(self.shape()[1] - 1)
        affine[:3, 0] *= -1
        return self.signal[:, ::-1], affine


@cache
def phantom(shape=(4, 12, 10), *, tilt_deg=(11.0, -7.0, 4.0), injections=1):
    """A slab through the phantom's liver, doubly oblique, three echoes."""
    options = replace(SMALL, shape=shape, spacing_mm=(9.0, 16.0, 20.0), echo_times_s=ECHO_TIMES_S, subsamples=1)
    grid = slab(shape, options.spacing_mm, tilt_deg=tilt_deg, frame_of_reference_uid=uid("frame"))
    treatment = PhantomOptions(positions=("RHA",)).treatment()
    return Truth(signal=noiseless_signal(treatment, injections, grid, options), grid=grid)


def later(truth, minutes, *, gain=0.9):
    """Another acquisition of the same protocol."""
    start = truth.started_at + timedelta(minutes=minutes)
    return replace(truth, signal=truth.signal * gain, started_at=start, name=f"{truth.name} + {minutes} min")


def written(dataset, syntax=ExplicitVRLittleEndian):
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    out = BytesIO()
    pydicom.dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()


def rewritten(data, change):
    """The file after `change(dataset)`."""
    dataset = pydicom.dcmread(BytesIO(data))
    change(dataset)
    return written(dataset, dataset.file_meta.TransferSyntaxUID)


def item(**elements):
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def text(value):
    return f"{value:.10g}"[:16]


def header(truth, sop_class, manufacturer, series, *address):
    return item(
        SpecificCharacterSet="ISO_IR 100",
        SOPClassUID=sop_class,
        SOPInstanceUID=uid(truth.name, series, address),
        StudyInstanceUID=uid("study"),
        SeriesInstanceUID=uid(truth.name, series),
        FrameOfReferenceUID=truth.grid.frame_of_reference_uid,
        PatientID="EM1-004",
        PatientName="Phantom^Vendor",
        PatientBirthDate="19600229",
        Modality="MR",
        Manufacturer=manufacturer,
        ProtocolName=truth.protocol,
        SeriesDescription=truth.protocol,
        SeriesNumber=truth.number,
        MagneticFieldStrength="3",
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
    )


def put_pixels(dataset, stored):
    rows, columns = stored.shape[-2:]
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated, dataset.BitsStored = 16, 12 if stored.dtype.kind == "u" else 16
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(stored.dtype.kind == "i")
    dataset.PixelData = stored.tobytes()


def put_place(dataset, truth, index):
    dataset.ImagePositionPatient = [text(x) for x in truth.position(index)]
    dataset.ImageOrientationPatient = [text(x) for x in (*truth.direction(2), *truth.direction(1))]
    dataset.PixelSpacing = [text(truth.spacing()[1]), text(truth.spacing()[2])]
    dataset.SliceThickness = text(0.8 * truth.spacing()[0])


def classic(truth, manufacturer, series, echo, index, kind):
    made = header(truth, MRImageStorage, manufacturer, series, echo, index, kind)
    put_place(made, truth, index)
    when = truth.acquired_at(index, echo)
    made.AcquisitionDate, made.AcquisitionTime = f"{when:%Y%m%d}", f"{when:%H%M%S.%f}"
    made.EchoTime, made.AcquisitionNumber = text(1e3 * truth.echo_times_s[echo]), truth.repetition
    made.ScanningSequence, made.SequenceVariant = truth.scanning_sequence, "SP"
    return made


def siemens_v(truth, *, series_per_echo=False, phase=False, words=("ND",), series="M", declared=None):
    """VB to VE: whole numbers, NumberOfFrames 1 on single images, phase in a series of its own without rescale."""
    files = []
    n_echoes, n_slices = truth.shape()[:2]
    for kind in (M, P) if phase else (M,):
        for index in range(n_slices):
            for echo in range(n_echoes):
                of = f"{series}{kind}{echo if series_per_echo else ''}"
                made = classic(truth, "SIEMENS", of, echo, index, kind)
                made.SeriesNumber = truth.number + (kind == P) * 10 + (echo if series_per_echo else 0)
                made.ImageType = ["ORIGINAL", "PRIMARY", kind, *words]
                made.EchoNumbers, made.NumberOfFrames = echo + 1, 1
                made.InstanceNumber = 1 + echo + n_echoes * index
                made.SpacingBetweenSlices = text(-truth.spacing()[0])
                if declared is not None:
                    made.ImagesInAcquisition = declared
                values = truth.part(kind, echo, index)
                if kind == P:
                    values = (values + np.pi) * 2048 / np.pi
                put_pixels(made, np.rint(values).clip(0, STORED_MAXIMUM).astype(np.uint16))
                files.append(written(made))
    return files


def siemens_xa_classic(truth):
    """XA "interoperability": no EchoNumbers, and every volume (here: every echo) with a series UID of its own."""
    files = []
    n_echoes, n_slices = truth.shape()[:2]
    for echo in range(n_echoes):
        for index in range(n_slices):
            made = classic(truth, "Siemens Healthineers", f"volume {echo}", echo, index, M)
            made.ImageType = ["ORIGINAL", "PRIMARY", "M", "NONE"]
            made.InstanceNumber = 1 + index
            put_pixels(made, np.rint(truth.part(M, echo, index)).astype(np.uint16))
            files.append(written(made))
    return files


def siemens_xa_enhanced(truth, *, phase=False):
    """XA: one Enhanced MR object per echo, phase in an object of its own."""
    files = []
    n_echoes, n_slices = truth.shape()[:2]
    for number, (kind, echo) in enumerate([(k, e) for k in ((M, P) if phase else (M,)) for e in range(n_echoes)], 1):
        made = header(truth, EnhancedMRImageStorage, "Siemens Healthineers", kind, number)
        component = {M: "MAGNITUDE", P: "PHASE"}[kind]
        made.ImageType, made.ComplexImageComponent = ["ORIGINAL", "PRIMARY", kind, "NONE"], component
        made.InstanceNumber, made.NumberOfFrames, made.NumberOfTemporalPositions = number, n_slices, 1
        made.AcquisitionDateTime = f"{truth.acquired_at(0, echo):%Y%m%d%H%M%S.%f}"
        made.EchoPulseSequence = {"GR": "GRADIENT", "SE": "SPIN"}[truth.scanning_sequence]
        rescale = {M: (1, 0), P: (2, -4096)}[kind]
        made.SharedFunctionalGroupsSequence = Items(
            [
                item(
                    MREchoSequence=Items([item(EffectiveEchoTime=1e3 * truth.echo_times_s[echo])]),
                    PixelValueTransformationSequence=Items(
                        [item(RescaleSlope=rescale[0], RescaleIntercept=rescale[1], RescaleType="US")]
                    ),
                )
            ]
        )
        frames, stored = [], []
        for index in range(n_slices):
            frames.append(enhanced_frame(truth, echo, index, ("ORIGINAL", "PRIMARY", kind, "NONE"), component))
            values = truth.part(kind, echo, index)
            stored.append((values + np.pi) * 2048 / np.pi if kind == P else values)
        made.PerFrameFunctionalGroupsSequence = Items(frames)
        put_pixels(made, np.rint(stored).clip(0, STORED_MAXIMUM).astype(np.uint16))
        files.append(written(made))
    return files


def enhanced_frame(truth, echo, index, frame_type, component):
    """The functional groups that tell one frame from the next."""
    place = Dataset()
    put_place(place, truth, index)
    return item(
        FrameContentSequence=Items(
            [
                item(
                    FrameAcquisitionDateTime=f"{truth.acquired_at(index, echo):%Y%m%d%H%M%S.%f}",
                    FrameAcquisitionNumber=truth.repetition,
                    TemporalPositionIndex=1,
                    InStackPositionNumber=index + 1,
                    DimensionIndexValues=[1, index + 1, echo + 1],
                )
            ]
        ),
        PlanePositionSequence=Items([item(ImagePositionPatient=place.ImagePositionPatient)]),
        PlaneOrientationSequence=Items([item(ImageOrientationPatient=place.ImageOrientationPatient)]),
        PixelMeasuresSequence=Items([item(PixelSpacing=place.PixelSpacing, SliceThickness=place.SliceThickness)]),
        MRImageFrameTypeSequence=Items([item(FrameType=list(frame_type), ComplexImageComponent=component)]),
    )


def ge(truth, *, kinds=(M, R, I), block=0x10, code_vr="SS", syntax=ImplicitVRLittleEndian, research=False):
    """All kinds in one series and all ORIGINAL\\PRIMARY\\OTHER: only (0043,102F) tells. SliceLocation is nonsense."""
    files = []
    n_echoes, n_slices = truth.shape()[:2]
    for index in range(n_slices):
        for echo in range(n_echoes):
            for nth, kind in enumerate(kinds):
                made = classic(truth, "GE MEDICAL SYSTEMS", "all", echo, index, kind)
                made.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
                made.EchoNumbers = 1 if research else echo + 1
                if research:
                    made.EchoTime = text(1e3 * min(truth.echo_times_s))
                made.InstanceNumber = 1 + nth + len(kinds) * (echo + n_echoes * index)
                made.SliceLocation, made.SpacingBetweenSlices = text(-3.7 * index), "3.7"
                made.ImagesInAcquisition = n_echoes * n_slices * len(kinds)
                for other in range(0x10, block):
                    made.private_block(0x0043, f"OTHER {other}", create=True)
                code = {M: 0, P: 1, R: 2, I: 3}[kind]
                private = made.private_block(0x0043, "GEMS_PARM_01", create=True)
                private.add_new(0x2F, code_vr, code.to_bytes(2, "little") if code_vr == "UN" else code)
                values = truth.part(kind, echo, index) * (1000 if kind == P else 1)
                put_pixels(made, np.rint(values).astype(np.int16))
                files.append(written(made, syntax))
    return files


def philips_scale(truth, kind, echo, index):
    """(RS, RI, SS): another display scale for every kind, echo and slice."""
    if kind == P:
        return 2 * 3142 / STORED_MAXIMUM, -3142.0, STORED_MAXIMUM / (2 * np.pi)
    slope = 0.7 + 0.4 * echo + 0.05 * index
    full = max(float(truth.signal[echo, index].max()), 1.0)
    if kind == M:
        return slope, 0.0, STORED_MAXIMUM / full
    return 2 * slope, -slope * STORED_MAXIMUM, STORED_MAXIMUM / (2 * full)


def philips_stored(truth, kind, echo, index):
    slope, intercept, scale_slope = philips_scale(truth, kind, echo, index)
    return (truth.part(kind, echo, index) * scale_slope - intercept / slope).clip(0, STORED_MAXIMUM)


PHILIPS_WORDS = {
    M: ("M_FFE", "M", "FFE"),
    P: ("PHASE MAP", "P", "FFE"),
    R: ("R_FFE", "R", "FFE"),
    I: ("I_FFE", "I", "FFE"),
}


def put_philips_counts(dataset, truth, declared_slices=None):
    block = dataset.private_block(0x2001, "Philips Imaging DD 001", create=True)
    block.add_new(0x14, "SL", truth.shape()[0])
    block.add_new(0x18, "SL", truth.shape()[1] if declared_slices is None else declared_slices)
    block.add_new(0x60, "SL", 1)


def philips_classic(truth, *, kinds=(M,), dynamics=1, scale_slope=True):
    """One series of all kinds; each image has its own display scale, and the signal needs (2005,100E) to come back."""
    files = []
    n_echoes, n_slices = truth.shape()[:2]
    for kind in kinds:
        for echo in range(n_echoes):
            for index in range(n_slices):
                made = classic(truth, "Philips Medical Systems", "all", echo, index, kind)
                made.AcquisitionTime = f"{truth.started_at:%H%M%S.%f}"
                made.ImageType = ["ORIGINAL", "PRIMARY", *PHILIPS_WORDS[kind]]
                made.AcquisitionNumber, made.EchoNumbers = truth.number, echo + 1
                made.InstanceNumber = 1 + (7 * (echo * n_slices + index)) % (n_echoes * n_slices)
                made.NumberOfTemporalPositions, made.TemporalPositionIdentifier = dynamics, truth.repetition
                slope, intercept, scale = philips_scale(truth, kind, echo, index)
                made.RescaleSlope, made.RescaleIntercept, made.RescaleType = text(slope), text(intercept), "normalized"
                put_philips_counts(made, truth)
                if scale_slope:
                    made.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FL", scale)
                put_pixels(made, np.rint(philips_stored(truth, kind, echo, index)).astype(np.uint16))
                files.append(written(made))
    return files


def philips_enhanced(truth, *, kinds=(M, R, I, P), with_map=False, declared_slices=None, drop=()):
    """Every echo, slice and kind in one object; private (2005,140F) repeats the position half a voxel off."""
    n_echoes, n_slices = truth.shape()[:2]
    made = header(truth, EnhancedMRImageStorage, "Philips", "all", 1)
    made.ImageType, made.ComplexImageComponent = ["ORIGINAL", "PRIMARY", "T2_STAR", "MIXED"], "MIXED"
    made.AcquisitionDateTime = f"{truth.started_at:%Y%m%d%H%M%S.%f}"
    made.AcquisitionNumber, made.InstanceNumber = truth.number, 1
    made.EchoPulseSequence = {"GR": "GRADIENT", "SE": "SPIN"}[truth.scanning_sequence]
    made.DimensionIndexSequence = Items([item(DimensionIndexPointer=0x2005140F, FunctionalGroupPointer=0x2005140F)])
    put_philips_counts(made, truth, declared_slices)
    made.SharedFunctionalGroupsSequence = Items([Dataset()])
    frames, stored = [], []
    wanted = [(k, e, s) for e in range(n_echoes) for s in range(n_slices) for k in kinds if (e, s) not in drop]
    wanted += [("map", 0, s) for s in range(n_slices)] if with_map else []
    for kind, echo, index in wanted:
        if kind == "map":
            words, component, private = ("DERIVED", "PRIMARY", "T2_STAR", "MAP"), "MAGNITUDE", ("T2 MAP", "T2", "FFE")
            values, (slope, intercept, scale) = np.full(truth.shape()[2:], 25.0 + index), (0.5, 0.0, 1.0)
        else:
            component = {M: "MAGNITUDE", P: "PHASE", R: "REAL", I: "IMAGINARY"}[kind]
            words, private = ("ORIGINAL", "PRIMARY", "T2_STAR", kind), PHILIPS_WORDS[kind]
            values = philips_stored(truth, kind, echo, index)
            slope, intercept, scale = philips_scale(truth, kind, echo, index)
        frame = enhanced_frame(truth, echo, index, words, component)
        frame.FrameContentSequence[0].FrameAcquisitionNumber = truth.number
        frame.MREchoSequence = Items([item(EffectiveEchoTime=1e3 * truth.echo_times_s[echo])])
        frame.PixelValueTransformationSequence = Items(
            [item(RescaleSlope=text(slope), RescaleIntercept=text(intercept), RescaleType="US")]
        )
        half_off = truth.position(index) + 0.5 * (truth.spacing()[2] * truth.direction(2))
        hidden = item(ImageType=[*words[:2], *private], ImagePositionPatient=[text(x) for x in half_off])
        hidden.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FL", scale)
        frame.private_block(0x2005, "Philips MR Imaging DD 005", create=True).add_new(0x0F, "SQ", Items([hidden]))
        frames.append(frame)
        stored.append(values)
    made.PerFrameFunctionalGroupsSequence, made.NumberOfFrames = Items(frames), len(frames)
    put_pixels(made, np.rint(stored).astype(np.uint16))
    return [written(made)]


VENDORS = {
    "Siemens V": siemens_v,
    "Siemens V, a series per echo": lambda truth: siemens_v(truth, series_per_echo=True),
    "Siemens V with phase": lambda truth: siemens_v(truth, phase=True),
    "Siemens XA classic": siemens_xa_classic,
    "Siemens XA enhanced": siemens_xa_enhanced,
    "Siemens XA enhanced with phase": lambda truth: siemens_xa_enhanced(truth, phase=True),
    "GE": ge,
    "GE with phase": lambda truth: ge(truth, kinds=(M, P)),
    "GE, moved block, unknown representation": lambda truth: ge(
        truth, block=0x23, code_vr="UN", syntax=ExplicitVRLittleEndian
    ),
    "Philips classic": philips_classic,
    "Philips classic, all kinds": lambda truth: philips_classic(truth, kinds=(M, R, I, P)),
    "Philips enhanced": philips_enhanced,
    "Philips enhanced with map": lambda truth: philips_enhanced(truth, with_map=True),
}
"""What each writes of one acquisition."""

LEFT_OUT_PER_MAGNITUDE = {
    "Siemens V with phase": 1,
    "Siemens XA enhanced with phase": 1,
    "GE": 2,
    "GE with phase": 1,
    "GE, moved block, unknown representation": 2,
    "Philips classic, all kinds": 3,
    "Philips enhanced": 3,
    "Philips enhanced with map": 3 + 1 / 3,
}
