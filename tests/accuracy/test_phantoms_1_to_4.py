"""Known dose in, measured dose out: the first four of the eight phantoms; two files, so that two workers share them."""

from __future__ import annotations

import pytest

from .phantoms import CASES, EveryFraction, Measured, case_id, measured_phantom


@pytest.fixture(scope="module", params=CASES[:4], ids=case_id)
def measured(request, tmp_path_factory) -> Measured:
    return measured_phantom(request.param, tmp_path_factory.mktemp("accuracy") / "phantom")


@pytest.mark.timeout(600)
class TestEveryFraction(EveryFraction):
    pass
