"""A plan with faults is refused before anything is written: one message with all of them, exit status 2."""

from __future__ import annotations

from pathlib import Path

import pytest
from holmia_processes import Finished, run

from console.demo.phantom_dicom import PhantomTreatment

pytestmark = pytest.mark.xdist_group("hazards")

COMMANDS = ("listen", "import", "quantify", "console")


def said_of(command: str, plan: Path, phantom: PhantomTreatment, folder: Path) -> Finished:
    """Give a plan to a command that would otherwise write to `folder`."""
    arguments = {
        "listen": ("listen", folder / "new.holmia", "--plan", plan, "--host", "127.0.0.1", "--port", 0),
        "import": ("import", phantom.reference, "-o", folder / "new.holmia", "--plan", plan),
        "quantify": ("quantify", phantom.reference, "--plan", plan, "--out", folder / "out"),
        "console": ("console", folder / "new.holmia", "--plan", plan, "--port", 0),
    }
    return run(*arguments[command], own_process=False)


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """Where a command would write."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_all_faults_are_listed_at_once_and_nothing_is_written(
    command: str, phantom: PhantomTreatment, tmp_path: Path, empty: Path
) -> None:
    text = phantom.plan_path.read_text()
    text = text.replace("relaxivity_per_s_per_mg_mL", "relaxivity_per_s_per_mg_ml")  # unknown, and so one is missing
    text = text.replace('id = "EM1-004"\n', "")
    text = text.replace("field_T = 3.0", 'field_T = "three"')
    plan = tmp_path / "plan.toml"
    plan.write_text(text)
    done = said_of(command, plan, phantom, empty)
    assert done.status == 2
    assert "Did you mean relaxivity_per_s_per_mg_mL?" in done.err
    assert "calibration.relaxivity_per_s_per_mg_mL is missing" in done.err
    assert "patient.id is missing" in done.err
    assert "calibration.field_T" in done.err
    assert done.err.count("faults:") == 1
    assert list(empty.iterdir()) == []
    assert done.out == ""


def test_a_residual_above_its_vial_is_refused(phantom: PhantomTreatment, tmp_path: Path, empty: Path) -> None:
    text = phantom.plan_path.read_text()
    first = text.index("activity_MBq = ")
    text = text[:first] + 'vials = ["A"]\n' + text[text.index("time = ", first) :]
    text += """
[[vials]]
name = "A"
activity_MBq = 700.0
mass_mg = 58.0
assay_time = 2026-03-04T10:05:00

[[residuals]]
activity_MBq = 800.0
assay_time = 2026-03-04T10:30:00
injections = [["RHA", 1]]
"""
    plan = tmp_path / "plan.toml"
    plan.write_text(text)
    done = said_of("listen", plan, phantom, empty)
    assert done.status == 2
    assert "residuals[0]" in done.err
    assert "vial" in done.err
    assert list(empty.iterdir()) == []


def test_an_injection_out_of_order_is_refused(phantom: PhantomTreatment, tmp_path: Path, empty: Path) -> None:
    text = phantom.plan_path.read_text()
    times = [line for line in text.splitlines() if line.startswith("time = ")]
    text = text.replace(times[1], "time = 2026-03-04T09:59:00")
    plan = tmp_path / "plan.toml"
    plan.write_text(text)
    done = said_of("import", plan, phantom, empty)
    assert done.status == 2
    assert "injections[1]" in done.err
    assert list(empty.iterdir()) == []


def test_a_plan_that_is_not_toml_or_not_there_is_refused(
    phantom: PhantomTreatment, tmp_path: Path, empty: Path
) -> None:
    plan = tmp_path / "plan.toml"
    assert said_of("listen", plan, phantom, empty).status == 2
    plan.write_text("schema = = 1\n")
    done = said_of("listen", plan, phantom, empty)
    assert done.status == 2
    assert "plan.toml" in done.err
    assert list(empty.iterdir()) == []


def test_an_unknown_set_key_is_refused(phantom: PhantomTreatment, empty: Path) -> None:
    done = run(
        "quantify",
        phantom.reference,
        "--plan",
        phantom.plan_path,
        "--set",
        "quantification.tissue_density=1.0",
        "--out",
        empty / "out",
    )
    assert done.status == 2
    assert "tissue_density_g_per_mL" in done.err
    assert list(empty.iterdir()) == []
