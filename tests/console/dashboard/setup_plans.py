"""A plan with everything that the setup has a field for, and the moment at which it is typed."""

from __future__ import annotations

import tomllib
from datetime import datetime
from zoneinfo import ZoneInfo

from config.plan import TreatmentPlan, plan_from_mapping
from config.settings import Settings

ZONE = "Europe/Amsterdam"
NOW = datetime(2026, 3, 4, 14, 0, tzinfo=ZoneInfo(ZONE))
SITE = Settings()

PLAN = """
schema = 1
time_zone = "Europe/Amsterdam"
[patient]
id = "EM1-004"
birth_date = 1957-05-12
name = "DE VRIES^ANNA"
[microspheres]
holmium_fraction = 0.195
specific_activity_MBq_per_mg = 12.0
reference_time = 2026-03-04T10:00:00
[calibration]
relaxivity_per_s_per_mg_mL = 218.0
field_T = 3.0
holmium_fraction = 0.195
[quantification.trend]
threshold_pct = 12.5
[structures]
liver = "Liver"
tumours = ["Tumour 1", 'segment VI, "caudal"']
[positions.RHA]
territory = "Right liver"
volumes = ["Tumour 1"]
[[limits]]
volume = "Healthy liver"
dose_Gy = 55.0
source = "EMERITUS-1"
[[injections]]
position = "RHA"
fraction = 1
planned_MBq = 430.0
vials = ["A"]
time = 2026-03-04T10:08:30
[[injections]]
position = "LHA"
fraction = 1
planned_MBq = 90.0
[[injections]]
position = "RHA"
fraction = 2
planned_MBq = 1300.0
outside_mri = true
[injections.microspheres]
holmium_fraction = 0.194
specific_activity_MBq_per_mg = 11.5
reference_time = 2026-03-04T10:00:00
[[vials]]
name = "A"
activity_MBq = 460.0
mass_mg = 38.0
assay_time = 2026-03-04T09:30:00
[[residuals]]
activity_MBq = 35.0
assay_time = 2026-03-04T13:00:00
injections = [["RHA", 1]]
"""


def plan_of(text: str = PLAN) -> TreatmentPlan:
    return plan_from_mapping(tomllib.loads(text), site_time_zone=ZONE)
