"""The treatments of the dashboard's tests, made once: the arrays are what takes time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import treatments

from console.snapshot import Snapshot


@pytest.fixture(scope="session")
def finished() -> Snapshot:
    """Four fractions with results; tumour 2 lies below its line."""
    return treatments.treatment(4)


@pytest.fixture(scope="session")
def between() -> Snapshot:
    """Two results, the third fraction injected, its series arriving."""
    return treatments.treatment(2, given=3, arriving=214)


@pytest.fixture(scope="session")
def words() -> Snapshot:
    """Four fractions with results but without images: for what is only text."""
    return treatments.treatment(4, images=False)
