"""What all tests share: Qt offscreen before anything imports it, cheap processes, the real scanner files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
# Matrices here are 3 × 3: threads of BLAS would only wait for each other, busily, beside the other workers.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Tests start some hundred processes; compiling every module anew in each would be a quarter of their start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

REPOSITORY = Path(__file__).resolve().parent.parent
REAL_DATA = REPOSITORY.parent / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real scanner files; the test is skipped where it is not present."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"the real scanner files are not present at {REAL_DATA.relative_to(REPOSITORY.parent.parent)}")
    return REAL_DATA
