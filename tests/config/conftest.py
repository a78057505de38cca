from __future__ import annotations

import copy
import tomllib
from typing import Any

import pytest

PLAN = """
schema = 1
time_zone = "Europe/Amsterdam"

[patient]
id = "EM1-004"

[microspheres]
holmium_fraction = 0.195
specific_activity_MBq_per_mg = 12.0
reference_time = 2026-03-04T10:00:00

[calibration]
relaxivity_per_s_per_mg_mL = 218.0
field_T = 3.0
holmium_fraction = 0.195
temperature_C = 37.0

[quantification]
tissue_density_g_per_mL = 1.06
dose_model = "local"

[structures]
liver = "Liver"
tumours = ["Tumour 1", "Tumour 2"]

[positions.RHA]
territory = "Right liver"
volumes = ["Tumour 1"]

[[limits]]
volume = "Healthy liver"
dose_Gy = 55.0

[[injections]]
position = "RHA"
fraction = 1
planned_MBq = 430.0
activity_MBq = 420.0
time = 2026-03-04T10:08:00

[[injections]]
position = "RHA"
fraction = 2
planned_MBq = 1200.0
vials = ["A"]
time = 2026-03-04T10:40:00

[[injections]]
position = "RHA"
fraction = 3
planned_MBq = 1200.0

[[vials]]
name = "A"
activity_MBq = 1250.0
mass_mg = 104.0
assay_time = 2026-03-04T10:05:00

[[residuals]]
activity_MBq = 60.0
assay_time = 2026-03-04T12:00:00
injections = [["RHA", 2]]
"""


@pytest.fixture
def plan_text() -> str:
    """The plan of the design page, with vials, a residual and a planned injection."""
    return PLAN


@pytest.fixture
def content() -> dict[str, Any]:
    """The same plan as a mapping that a test may spoil."""
    return copy.deepcopy(tomllib.loads(PLAN))
