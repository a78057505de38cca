"""What ``holmia quantify`` says of a dose on the terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.cli.compute import _mean_words
from console.shell import CommandError, refuse_another_patient
from quantify.findings import VolumeStatistics, VolumeStatus
from quantify.model import Role

MEASURED = VolumeStatistics(
    name="T",
    role=Role.TUMOUR,
    status=VolumeStatus.OK,
    volume_ml=10.0,
    evaluable_fraction=1.0,
    dose_mean_gy=78.4,
    dose_mean_u_gy=11.2,
)


@pytest.mark.parametrize(
    ("statistics", "words"),
    [
        (MEASURED, "78.4 ± 11.2 Gy"),
        (replace(MEASURED, status=VolumeStatus.LOWER_BOUND), "≥ 78 Gy"),
        (replace(MEASURED, dose_mean_u_gy=None), "≈ 78.4 Gy (its uncertainty is not known)"),
    ],
)
def test_a_bound_is_told_as_one_and_an_unknown_uncertainty_is_never_zero(statistics, words):
    assert _mean_words(statistics) == words


@pytest.mark.parametrize("path", ["patient.id", "patient", '"patient".id'])
def test_nothing_that_names_a_patient_can_be_laid_over_an_export(path):
    with pytest.raises(CommandError, match="whose treatment"):
        refuse_another_patient({path: "X"})
    refuse_another_patient({"quantification.fit": "arlo"})
