"""A treatment whose volumes come as segmentations and label maps gives the doses that the RT Structure Set gives."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from zoneinfo import ZoneInfo

import nibabel
import numpy as np
import pytest

from config.plan import load_plan
from console.demo.phantom_dicom import write_phantom
from console.demo.phantom_headers import Flavour
from dicom_listener.decode import decode
from dicom_listener.events import Kind
from quantify.findings import FractionStatus
from quantify.model import Grid
from quantify.occupancy import occupancy
from quantify.registration import register as register_really

from ..dicom_listener.segmentations import part10, segmentation
from .test_engine import Feeder, coarse

ZONE = "Europe/Amsterdam"
TUMOURS = ("Tumour 1", "Tumour 2")


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """One position, one fraction, five echoes: it shows laws, not accuracy."""
    options = replace(coarse(Flavour.PHILIPS_ENHANCED), fractions=1)
    options = replace(options, acquisition=replace(options.acquisition, snr=300.0))
    return write_phantom(tmp_path_factory.mktemp("segmentations") / "p", options)


@pytest.fixture(scope="module")
def drawn(phantom):
    (path,) = phantom.structures.rglob("*.dcm")
    return decode(path.read_bytes(), time_zone=ZoneInfo(ZONE)).structure_set


@pytest.fixture(scope="module")
def solids(phantom, drawn):
    """Every structure's share of the voxels of a fine grid on the planes of the contours, and the grid's affine."""
    contours = {s.name: [c.points_mm for c in s.contours] for s in drawn.structures}
    every = np.concatenate([points for of_one in contours.values() for points in of_one])
    margin = np.array([6.0, 6.0, 20.0])
    low, high = every.min(axis=0) - margin, every.max(axis=0) + margin
    planes = np.unique(np.round(every[:, 2], 3))
    first = planes[0] - 20.0
    spacing = np.array([10.0, 1.5, 1.5])
    affine = np.eye(4)[:, [2, 1, 0, 3]] * np.array([*spacing, 1.0])
    affine[:3, 3] = low[0], low[1], first
    shape = tuple(int(n) for n in np.ceil((high - (low[0], low[1], first)) / spacing[::-1])[::-1] + 1)
    grid = Grid(shape=shape, affine_lps_mm=affine)
    return {name: occupancy(of_one, grid, subsamples=(6, 4, 4))[0] for name, of_one in contours.items()}, affine


def send(feeder: Feeder, what) -> None:
    """Send a folder, a DICOM object's bytes, or a label map as (name, labels, bytes)."""
    if isinstance(what, tuple):
        name, labels, data = what
        feeder.event(Kind.LABEL_MAP_GIVEN, data, name=name, labels=labels)
    elif isinstance(what, bytes):
        feeder.event(Kind.INSTANCE_STORED, what, association="SEG")
        feeder.event(Kind.ASSOCIATION_CLOSED, association="SEG")
    else:
        feeder.send(what)


def quantified(phantom, *instead, late=()):
    """The result of the fraction, and the snapshot, with `instead` in place of the structures and `late` at the end."""
    feeder = Feeder()
    feeder.plan(phantom.plan_path)
    for what in (phantom.anatomy, *instead, phantom.reference, *phantom.fractions):
        send(feeder, what)
    feeder.advance()
    for what in late:
        send(feeder, what)
        feeder.advance()
    (result,) = feeder.engine.results
    return result, feeder.engine.snapshot()


@pytest.fixture(scope="module", autouse=True)
def nothing_differs_but_the_volumes():
    """Contours are drawn as finely as masks: the default points per voxel cost more than 1 % on voxels of 6 mm. And the
    registration is found once: another voxel at the liver's edge would move it by less than it is known to, and doses
    at this noise by more than 1 %.
    """
    found: dict[str, object] = {}

    def register(*, moving, **rest):
        if moving.series_instance_uid not in found:
            found[moving.series_instance_uid] = register_really(moving=moving, **rest)
        return found[moving.series_instance_uid]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("console.structures.occupancy", partial(occupancy, subsamples=(6, 6, 6)))
        patch.setattr("console.series_maps.register", register)
        yield


@pytest.fixture(scope="module")
def expected(phantom):
    result, snapshot = quantified(phantom, phantom.structures)
    assert snapshot.structure_faults == ()
    return result


def same_doses(result, expected, rel=0.01):
    assert result.status == expected.status == FractionStatus.OK
    assert list(result.volumes) == list(expected.volumes)
    for name, own in expected.volumes.items():
        assert result.volumes[name].volume_ml == pytest.approx(own.volume_ml, rel=rel), name
        assert result.volumes[name].dose_mean_gy == pytest.approx(own.dose_mean_gy, rel=rel), name


def seg(phantom, drawn, solids, *names, kind="FRACTIONAL", **more) -> bytes:
    shares, affine = solids
    regions = {name: shares[name] if kind == "FRACTIONAL" else np.rint(shares[name]) for name in names}
    made = segmentation(
        regions,
        affine,
        kind=kind,
        maximum=250,
        frame_of_reference=drawn.frame_of_reference_uid,
        series=drawn.referenced_series_uids,
        uid="1.2.66." + str(len(names)),
        order=1,
        patient=load_plan(phantom.plan_path, site_time_zone=ZONE).patient.id,
        **more,
    )
    return part10(made)


def test_a_fractional_segmentation_gives_the_doses_of_the_structure_set(phantom, drawn, solids, expected):
    result, snapshot = quantified(phantom, seg(phantom, drawn, solids, "Liver", *TUMOURS))
    assert snapshot.structure_faults == ()
    same_doses(result, expected)


def test_tumours_from_a_binary_segmentation_and_the_liver_from_the_structure_set(phantom, drawn, solids, expected):
    """The tumours' later version, of other voxels, arrives after the fraction: everything is computed anew."""
    tumours = seg(phantom, drawn, solids, *TUMOURS, kind="BINARY", label="BY_HAND")
    result, snapshot = quantified(phantom, phantom.structures, late=[tumours])
    assert snapshot.structure_faults == ()
    same_doses(result, expected)
    assert [v.name for v in snapshot.volumes] == [*TUMOURS, "Liver", "Healthy liver"]


def test_label_maps_give_the_doses_of_the_structure_set(phantom, solids, expected):
    """The liver as a map of shares, the tumours as labels; NIfTI has x towards the right."""
    shares, affine = solids
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine[:, [2, 1, 0, 3]]

    def file(values) -> bytes:
        image = nibabel.Nifti1Image(np.ascontiguousarray(values.T), ras)
        image.header.set_xyzt_units("mm")
        image.set_sform(ras, 1)
        return image.to_bytes()

    labels = np.zeros(shares["Liver"].shape, np.uint8)
    for number, name in enumerate(TUMOURS, start=1):
        labels[shares[name] >= 0.5] = number
    liver = ("liver.nii", {"1": "Liver"}, file(shares["Liver"].astype(np.float32)))
    tumours = ("tumours.nii", {"1": TUMOURS[0], "2": TUMOURS[1]}, file(labels))
    result, snapshot = quantified(phantom, tumours, liver)
    assert snapshot.structure_faults == ()
    same_doses(result, expected)


def test_a_segmentation_that_cannot_be_used_is_a_fault_on_the_screen_and_the_structure_set_stands(
    phantom, drawn, solids, expected
):
    broken = seg(phantom, drawn, solids, "Liver", *TUMOURS)[:-5000]
    result, snapshot = quantified(phantom, phantom.structures, broken)
    assert result.volumes["Liver"].dose_mean_gy == expected.volumes["Liver"].dose_mean_gy
    assert [fault.split(" ")[1] for fault in snapshot.structure_faults] == ["'Tumour", "'Tumour", "'Liver'"]
    assert all("is truncated or its header is wrong" in fault for fault in snapshot.structure_faults)
