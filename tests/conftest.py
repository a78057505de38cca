"""What all tests share: Qt offscreen before anything imports it, the real scanner files, the phantom."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

REPOSITORY = Path(__file__).resolve().parent.parent
REAL_DATA = REPOSITORY.parent / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real scanner files; the test is skipped where it is not present."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"the real scanner files are not present at {REAL_DATA.relative_to(REPOSITORY.parent.parent)}")
    return REAL_DATA
