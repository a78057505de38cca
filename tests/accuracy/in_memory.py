"""The images of a phantom series as decoding its files would give them, without the files.

Writing and reading the files is half of what a phantom costs. `test_in_memory.py` holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

from console.demo.phantom_enhanced import enhanced_files
from console.demo.phantom_headers import Flavour, SeriesHeader, position_mm, uid
from console.demo.phantom_series import Acquired, classic_files, philips_scale, quantise
from console.reader import InThisProcess
from dicom_listener.decode import decode
from dicom_listener.images import DecodedInstance, MrImage
from dicom_listener.scaling import Scaling
from quantify.model import Array


def files(header: SeriesHeader, acquired: Acquired, *, series_per_echo: bool = False) -> list[bytes]:
    """The series as files, of the flavour that its header names."""
    if header.flavour.is_enhanced:
        return list(enhanced_files(header, acquired))
    return list(classic_files(header, acquired, series_per_echo=series_per_echo))


def instances(
    header: SeriesHeader, acquired: Acquired, zone: ZoneInfo, *, series_per_echo: bool = False
) -> Iterator[DecodedInstance]:
    """What decoding `files` gives, instance by instance.

    What the images of an echo share is decoded from files of the first slice alone.
    """
    n_slices = acquired.grid.shape[0]
    first = replace(
        acquired, signal=acquired.signal[:, :1], grid=replace(acquired.grid, shape=(1, *acquired.grid.shape[1:]))
    )
    decoded = [decode(data, time_zone=zone) for data in files(header, first, series_per_echo=series_per_echo)]
    if not header.flavour.is_enhanced:
        for echo, instance in enumerate(decoded):
            one = header if not series_per_echo else replace(header, identity=f"{header.identity}/echo {echo + 1}")
            for index in range(n_slices):
                name = uid(one.identity, "M", echo, index)
                image = _image(header, acquired, instance.images[0], echo, index)
                yield replace(instance, sop_instance_uid=name, images=(replace(image, sop_instance_uid=name),))
        return
    frames_before = 0
    for instance in decoded:
        images: list[MrImage] = []
        for template in instance.images:
            echo = (frames_before + len(images)) // n_slices
            for index in range(n_slices):
                image = _image(header, acquired, template, echo, index)
                images.append(replace(image, frame_number=len(images) + 1))
        frames_before += len(images)
        yield replace(instance, images=tuple(images))


class Handed(InThisProcess):
    """Gives what was handed to it under a token, and reads everything else."""

    def __init__(self) -> None:
        self._instances: dict[bytes, DecodedInstance] = {}

    def token(self, instance: DecodedInstance) -> bytes:
        """What to give an engine in place of a file."""
        token = f"handed {len(self._instances)}".encode()
        self._instances[token] = instance
        return token

    def decode(self, data: bytes, *, time_zone: ZoneInfo) -> DecodedInstance:
        return self._instances.get(data) or super().decode(data, time_zone=time_zone)


def _image(header: SeriesHeader, acquired: Acquired, template: MrImage, echo: int, index: int) -> MrImage:
    x, y, z = (float(value) for value in position_mm(acquired.grid, index))
    at = template.acquired_at
    if at is not None and not header.flavour.is_enhanced:  # every file has its own time, a frame that of its object
        at += timedelta(seconds=header.slice_time_s * index)
    return replace(
        template, signal=_signal(header.flavour, acquired, echo, index), position_mm=(x, y, z), acquired_at=at
    )


def _signal(flavour: Flavour, acquired: Acquired, echo: int, index: int) -> Array:
    """The signal after it was rounded to 12 bits and scaled back."""
    magnitude = acquired.magnitude(echo, index)
    if not flavour.is_philips:
        return Scaling().signal(quantise(magnitude))
    scale = philips_scale(acquired, echo)
    return Scaling(slope=scale.rescale_slope, scale_slope=scale.scale_slope).signal(scale.stored(magnitude))
