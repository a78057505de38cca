"""Images of the phantom as classic MR objects: one 2-D image a file, in the manner of Siemens V and Philips."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from console.demo.phantom_acquisition import complex_noise
from console.demo.phantom_headers import (
    FileTemplate,
    Flavour,
    SeriesHeader,
    add_equipment,
    add_pixels,
    date_text,
    decimal,
    decimals,
    element,
    new_dataset,
    orientation,
    position_mm,
    time_text,
    uid,
)
from quantify.model import Array, Grid

STORED_MAXIMUM = 4095
"""12 bits, as both makers store."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Acquired:
    """A noiseless series and the noise it is to have: what a file's pixels are made from, image by image.

    ``signal`` is (echo, slice, row, column), phantom units; ``gain`` scales signal and noise alike, as a receiver does.
    """

    signal: Array
    echo_times_s: tuple[float, ...]
    grid: Grid
    sigma: float
    gain: float
    seed: int
    series_index: int

    def complex_image(self, echo: int, slice_index: int) -> NDArray[np.complex64]:
        """Return signal + noise of one image; its modulus is Rice distributed, its angle noisy around zero."""
        plane = self.signal[echo, slice_index]
        shape = (plane.shape[0], plane.shape[1])
        noise = complex_noise(shape, self.sigma, self.seed, self.series_index, echo, slice_index)
        image: NDArray[np.complex64] = np.float32(self.gain) * (plane + noise)
        return image

    def magnitude(self, echo: int, slice_index: int) -> Array:
        """Return √((S+n₁)²+n₂²), float32."""
        return np.abs(self.complex_image(echo, slice_index))

    def phase(self, echo: int, slice_index: int) -> Array:
        """Return the phase in rad, −π…π: smooth off-resonance to ±40 Hz, with the magnitude's noise."""
        rows, columns = self.grid.shape[1:]
        u, v = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
        off_resonance_hz = 25.0 * u - 15.0 * v * v
        turn = np.exp(2j * math.pi * off_resonance_hz * self.echo_times_s[echo])
        return np.asarray(np.angle(self.complex_image(echo, slice_index) * turn), dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How Philips stores a float: P = (S·RS + RI)/(RS·SS). RI is 0 here."""

    rescale_slope: float
    scale_slope: float

    def stored(self, values: Array) -> NDArray[np.uint16]:
        """Return stored integers of floating-point signal."""
        return quantise(values * np.float32(self.scale_slope))


def quantise(values: Array) -> NDArray[np.uint16]:
    """Round to the 12-bit range."""
    return np.clip(np.rint(values), 0, STORED_MAXIMUM).astype("<u2")


def philips_scale(acquired: Acquired, echo: int) -> Scale:
    """Return the scale of one echo: it fills the range with that echo's own maximum, so every echo has another."""
    peak = acquired.gain * (float(acquired.signal[echo].max()) + 5.0 * acquired.sigma)
    scale_slope = float(np.float32(STORED_MAXIMUM / peak))
    return Scale(rescale_slope=float(decimal(1.2 + 0.15 * echo)), scale_slope=scale_slope)


def classic_files(
    header: SeriesHeader, acquired: Acquired, *, series_per_echo: bool = False, phase: bool = False
) -> Iterator[bytes]:
    """Yield the Part-10 files of one acquisition, echo by echo.

    Parameters
    ----------
    header
        Its UIDs derive from ``header.identity``.
    acquired
        Signal, noise and grid.
    series_per_echo
        Every echo a series of its own, as Siemens does on some protocols; the acquisition number stays the same.
    phase
        A phase series as well, under the next series number, stored 0…4095 for −π…π without rescale tags (Siemens).
    """
    for component in ("M", "P") if phase else ("M",):
        series = header if component == "M" else _sibling(header, "phase", 1)
        for echo in range(len(acquired.echo_times_s)):
            one = _sibling(series, f"echo {echo + 1}", 2 * echo) if series_per_echo else series
            yield from _echo_files(one, acquired, echo, component, single=series_per_echo)


def _sibling(header: SeriesHeader, name: str, step: int) -> SeriesHeader:
    return replace(header, identity=f"{header.identity}/{name}", number=header.number + step)


def _echo_files(
    header: SeriesHeader, acquired: Acquired, echo: int, component: str, *, single: bool
) -> Iterator[bytes]:
    n_slices = acquired.grid.shape[0]
    scale = philips_scale(acquired, echo) if header.flavour is Flavour.PHILIPS_CLASSIC else None
    template = FileTemplate(_echo_template(header, acquired, echo, component, scale))
    normal = np.cross(acquired.grid.affine_lps_mm[:3, 2], acquired.grid.affine_lps_mm[:3, 1])
    normal = normal / np.linalg.norm(normal)
    for index in range(n_slices):
        started = header.acquired_at + timedelta(seconds=header.slice_time_s * index)
        position = position_mm(acquired.grid, index)
        if component == "P":
            angle = acquired.phase(echo, index)
            stored = quantise(np.asarray((angle / math.pi + 1.0) * STORED_MAXIMUM / 2.0, dtype=np.float32))
        elif scale is not None:
            stored = scale.stored(acquired.magnitude(echo, index))
        else:
            stored = quantise(acquired.magnitude(echo, index))
        width = float(max(stored.max(), 2))
        changes = (
            (0x00080022, "DA", date_text(started)),
            (0x00080032, "TM", time_text(started)),
            (0x00200013, "IS", str(index + 1 + (0 if single else echo * n_slices))),
            (0x00200032, "DS", position),
            (0x00201041, "DS", decimals([float(normal @ [float(v) for v in position])])),
            (0x00280106, "US", stored.min().tobytes()),
            (0x00280107, "US", stored.max().tobytes()),
            (0x00281050, "DS", decimal(width / 2)),
            (0x00281051, "DS", decimal(width)),
            (0x7FE00010, "OW", stored.tobytes()),
        )
        name = uid(header.identity, component, echo, index)
        yield template.file(name, {tag: element(tag, vr, value) for tag, vr, value in changes})


def _echo_template(header: SeriesHeader, acquired: Acquired, echo: int, component: str, scale: Scale | None) -> Dataset:
    """Return what all images of one echo have in common."""
    ds = new_dataset(MRImageStorage, "2.25.0", header)
    add_equipment(ds, header)
    _add_classic_sequence(ds, header, acquired, echo)
    ds.AcquisitionNumber = "1"
    ds.ImageOrientationPatient = orientation(acquired.grid)
    ds.PixelSpacing = decimals(list(acquired.grid.spacing_mm[1:]))
    if scale is not None:
        add_philips_scale(ds, scale)
        ds.ImageType = ["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"]
    else:
        ds.ImageType = ["ORIGINAL", "PRIMARY", component, "ND"]
    add_pixels(ds, *acquired.grid.shape[1:], b"")
    return ds


def _add_classic_sequence(ds: Dataset, header: SeriesHeader, acquired: Acquired, echo: int) -> None:
    n_echoes = len(acquired.echo_times_s)
    ds.ScanningSequence = "GR"
    ds.SequenceVariant = "SP"
    ds.ScanOptions = ""
    ds.MRAcquisitionType = "3D" if n_echoes == 1 else "2D"
    ds.SequenceName = f"fl{3 if n_echoes == 1 else 2}d{n_echoes}"
    ds.SliceThickness = decimal(acquired.grid.spacing_mm[0])
    ds.SpacingBetweenSlices = decimal(acquired.grid.spacing_mm[0])
    ds.RepetitionTime = decimal(header.repetition_time_ms)
    ds.EchoTime = decimal(1000.0 * acquired.echo_times_s[echo])
    ds.NumberOfAverages = "1"
    ds.ImagingFrequency = decimal(42.577 * header.field_strength_t)
    ds.ImagedNucleus = "1H"
    ds.EchoNumbers = str(echo + 1)
    ds.EchoTrainLength = str(n_echoes)
    ds.PercentSampling = "100"
    ds.PercentPhaseFieldOfView = "100"
    ds.PixelBandwidth = "1000"
    ds.FlipAngle = decimal(header.flip_angle_deg)
    ds.InPlanePhaseEncodingDirection = "COL"


def add_philips_scale(ds: Dataset, scale: Scale) -> None:
    """Add the rescale pair and the private scale slope (2005,100E) under its creator."""
    ds.RescaleIntercept = "0"
    ds.RescaleSlope = decimal(scale.rescale_slope)
    ds.RescaleType = "normalized"
    block = ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    block.add_new(0x0E, "FL", scale.scale_slope)
