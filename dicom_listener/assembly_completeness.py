"""Whether an acquisition is complete, and the sentence that says why or what is missing."""

from __future__ import annotations

import collections.abc
from collections.abc import Iterable
from dataclasses import dataclass

from dicom_listener.assembly_grid import EchoSliceGrid
from dicom_listener.assembly_parts import Placed
from dicom_listener.images import SeriesStatus


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """The reference's protocol."""

    echo_times_s: tuple[float, ...]
    n_slices: int
    tolerance_s: float

    def has_echoes(self, echo_times_s: tuple[float, ...]) -> bool:
        """Whether an acquisition has just these echo times."""
        return len(echo_times_s) == len(self.echo_times_s) and self.includes(echo_times_s)

    def includes(self, echo_times_s: tuple[float, ...]) -> bool:
        """Whether every echo time is one of the reference's."""
        return all(any(abs(own - te) <= self.tolerance_s for te in self.echo_times_s) for own in echo_times_s)


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Images that a header's count can mean: those of a series, of an acquisition, or of both."""

    magnitudes: int
    images: int
    """Magnitudes, and what was left out beside them."""


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What the headers of one series say of the number of images, and what has come in each scope.

    The standard's ImagesInAcquisition (0020,1002) is of the acquisition; scanners write that of the series. ``own`` is
    the series' share of this acquisition, ``wider`` the whole series, and the acquisition in all its series, phase
    series included.
    """

    images: int
    own: Scope
    wider: tuple[Scope, ...]


def missing_images(declared: Declared) -> str | None:
    """Say how far the images that have come fall short of the number declared; None where they do not.

    A scope that holds more magnitudes than were declared is not what the number means: six echoes of eight slices in
    six series do not make up for a series that declares ten. Phase images in a series of their own count where the
    number is of the acquisition, so that it is reached without their coming in this one.
    """
    if declared.images <= declared.own.images:
        return None
    meant = [scope.images for scope in declared.wider if scope.magnitudes <= declared.images]
    come = max(meant, default=declared.own.images)
    return None if come >= declared.images else f"the header declares {declared.images} images, {come} have come"


def verdict(
    grid: EchoSliceGrid,
    images: collections.abc.Sequence[Placed],
    *,
    declared: Iterable[Declared],
    reference: Expectation | None,
    closed: bool,
    silent: bool,
) -> tuple[SeriesStatus, str, int]:
    """Return (status, why, number of images expected).

    Parameters
    ----------
    grid, images
        Of the acquisition.
    declared
        What each of its series declares.
    reference
        The protocol that is expected; None before there is one.
    closed
        Whether nothing more is to come by the sender's account: associations closed, or silence.
    silent
        Whether it was silence, with an association still open.
    """
    n_echoes, n_slices, received = grid.n_echoes, grid.n_slices, grid.received
    declared_echoes = max(image.declared_echoes for image in images)
    declared_slices = max(image.declared_slices for image in images)
    expected = max(n_echoes, declared_echoes) * max(n_slices, declared_slices)
    shortfalls = []
    if received < n_echoes * n_slices:
        shortfalls.append(
            f"{n_echoes * n_slices - received} of {n_echoes * n_slices} images missing ({grid.missing()})"
        )
    if n_echoes < declared_echoes:
        shortfalls.append(f"the header declares {declared_echoes} echoes, {n_echoes} have come")
    if n_slices < declared_slices:
        shortfalls.append(f"the header declares {declared_slices} slices, {n_slices} have come")
    shortfalls += sorted({text for one in declared if (text := missing_images(one)) is not None})
    if grid.fault is not None:
        shortfalls.append(grid.fault)
    if not shortfalls and reference and reference.n_slices == n_slices and reference.has_echoes(grid.echo_times_s):
        return SeriesStatus.COMPLETE, f"complete: {_size(n_echoes, n_slices)}, same as the reference", expected
    if not shortfalls and closed:
        why = "no further image came within the quiet time" if silent else "its association closed"
        beside = ""
        if reference and n_echoes > 1:
            beside = f" (the reference has {_size(len(reference.echo_times_s), reference.n_slices)})"
        return SeriesStatus.COMPLETE, f"complete: grid {n_echoes} × {n_slices} full and {why}{beside}", expected
    if closed:
        return SeriesStatus.INCOMPLETE, f"incomplete: {'; '.join(shortfalls)}", expected
    if reference and n_slices <= reference.n_slices and reference.includes(grid.echo_times_s):
        expected = max(expected, len(reference.echo_times_s) * reference.n_slices)
    fault = f"; {grid.fault}" if grid.fault else ""
    return SeriesStatus.ARRIVING, f"arriving: {received} of {expected} images{fault}", expected


def _size(n_echoes: int, n_slices: int) -> str:
    return f"{n_echoes} echo{'' if n_echoes == 1 else 'es'} × {n_slices} slice{'' if n_slices == 1 else 's'}"
