"""The short cut of the accuracy tests is none: an image handed over in memory is bit for bit the image of its file."""

from __future__ import annotations

from dataclasses import fields
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from console.demo.phantom_acquisition import AcquisitionOptions
from console.demo.phantom_dicom import acquired_series, small_options
from console.demo.phantom_headers import Flavour
from dicom_listener.decode import decode

from .in_memory import Handed, files, instances

ZONE = ZoneInfo("Europe/Amsterdam")
TINY = AcquisitionOptions(
    shape=(5, 24, 32), spacing_mm=(30.0, 11.0, 12.0), echo_times_s=(0.0012, 0.0047, 0.0103), tilt_deg=(12.0, -8.0, 5.0)
)
WAYS = [*((flavour, False) for flavour in Flavour), (Flavour.SIEMENS_CLASSIC, True)]


@pytest.fixture(scope="module")
def treatment():
    return small_options(seed=5).treatment()


@pytest.mark.parametrize(("flavour", "per_echo"), WAYS, ids=[f"{f.value}{'-per-echo' * p}" for f, p in WAYS])
def test_what_is_handed_over_is_what_the_files_hold(treatment, flavour, per_echo):
    header, acquired = acquired_series(small_options(seed=5, flavour=flavour, acquisition=TINY), treatment, 2)
    read = [decode(data, time_zone=ZONE) for data in files(header, acquired, series_per_echo=per_echo)]
    handed = list(instances(header, acquired, ZONE, series_per_echo=per_echo))
    assert sum(len(instance.images) for instance in read) == 15
    assert len(handed) == len(read)
    for one, two in zip(handed, read, strict=True):
        assert same(one, two, but="images")
        assert len(one.images) == len(two.images)
        for image, expected in zip(one.images, two.images, strict=True):
            assert same(image, expected, but="signal")
            assert image.signal.dtype == expected.signal.dtype
            np.testing.assert_array_equal(image.signal, expected.signal)
    assert any(image.signal.any() for instance in handed for image in instance.images)


def test_a_token_stands_for_its_instance_and_anything_else_is_read(treatment):
    options = small_options(seed=5, flavour=Flavour.PHILIPS_ENHANCED, acquisition=TINY)
    header, acquired = acquired_series(options, treatment, 0)
    (instance,) = instances(header, acquired, ZONE)
    (data,) = files(header, acquired)
    reader = Handed()
    token = reader.token(instance)
    assert reader.decode(token, time_zone=ZONE) is instance
    assert reader.decode(data, time_zone=ZONE).sop_instance_uid == instance.sop_instance_uid
    assert "cannot be read" in reader.decode(b"handed 1", time_zone=ZONE).reason


def same(one, two, *, but):
    return all(getattr(one, f.name) == getattr(two, f.name) for f in fields(one) if f.name != but)
