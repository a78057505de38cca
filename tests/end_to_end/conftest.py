"""What the end-to-end tests share: one small phantom treatment, and its results by `import` and `quantify`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import holmia_processes

from console.demo.phantom_acquisition import AcquisitionOptions
from console.demo.phantom_dicom import PhantomOptions, PhantomTreatment, small_options, write_phantom

ECHO_TIMES_S = (0.0012, 0.0035, 0.007, 0.012)
N_SLICES = 16


def coarse_options(**changes: object) -> PhantomOptions:
    """Options of a phantom that shows laws, not accuracy: one position, two tumours, two fractions."""
    coarse = AcquisitionOptions(
        shape=(N_SLICES, 40, 60), spacing_mm=(10.0, 6.6, 6.6), echo_times_s=ECHO_TIMES_S, subsamples=1
    )
    base = {"n_tumours": 2, "fractions": 2, "acquisition": coarse, "anatomy_spacing_mm": (8.0, 6.0, 6.0)}
    return small_options(**{**base, **changes})


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A treatment file made by `import`, and what `quantify` says of it."""

    file: Path
    out: Path
    document: dict[str, Any]


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> PhantomTreatment:
    """The coarse phantom treatment: anatomy, structures, reference and two fractions."""
    return write_phantom(tmp_path_factory.mktemp("phantom") / "treatment", coarse_options())


@pytest.fixture(scope="session")
def imported(phantom: PhantomTreatment, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    """What every other way of receiving the phantom has to agree with."""
    folder = tmp_path_factory.mktemp("imported")
    file, out = folder / "imported.holmia", folder / "out"
    holmia_processes.run_well("import", phantom.folder, "-o", file, "--plan", phantom.plan_path)
    return Imported(file=file, out=out, document=holmia_processes.quantified(file, out))
