"""Versions of volumes are chosen by the number that the window shows."""

from __future__ import annotations

import pytest

from console.computed import NoSuchVersionError, chosen_objects
from dicom_listener.images import Structure, StructureSet


def given(sha256: str, *names: str, unusable: tuple[str, ...] = ()) -> StructureSet:
    return StructureSet(
        label=sha256,
        sop_instance_uid="1.2",
        frame_of_reference_uid="1.2.3",
        referenced_series_uids=(),
        structures=tuple(Structure(name=name, number=n) for n, name in enumerate(names)),
        unusable=tuple((name, "it is empty") for name in unusable),
        object_sha256=sha256,
    )


SETS = (given("a", "Liver", "T1"), given("b", "Liver ", unusable=("T1",)), given("c", "T1"))


@pytest.mark.parametrize(
    ("volume", "number", "sha256"),
    [("Liver", 1, "a"), ("Liver", 2, "b"), ("T1", 1, "a"), ("T1", 2, "b"), ("T1", 3, "c")],
)
def test_a_version_counts_every_object_that_names_the_volume(volume, number, sha256):
    assert chosen_objects(SETS, {volume: number}) == {volume: sha256}


@pytest.mark.parametrize(
    ("volume", "number", "why"),
    [("T1", 4, "it has 3"), ("T1", 0, "it has 3"), ("T2", 1, "no object names it (there are: Liver, T1)")],
)
def test_a_version_that_there_is_not_is_refused_with_what_there_is(volume, number, why):
    with pytest.raises(NoSuchVersionError) as refused:
        chosen_objects(SETS, {volume: number})
    assert why in str(refused.value)
