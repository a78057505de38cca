"""What the tests of outputs share: a treatment made by hand, axial and oblique."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import treated as by_hand

from console.outputs.exported import Exported


@pytest.fixture(scope="session", params=["axial", "oblique"])
def treated(request: pytest.FixtureRequest) -> Exported:
    """A treatment of four fractions on an axial and on an oblique grid."""
    return by_hand.treated(oblique=request.param == "oblique")


@pytest.fixture(scope="session")
def oblique() -> Exported:
    """A treatment of four fractions on an oblique grid."""
    return by_hand.treated(oblique=True)
