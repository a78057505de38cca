"""The table of volumes: every dose with its ±, every volume with its position, its source and its reasons."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from treatments import statistics

from console.dashboard.screen.model import Tone
from console.dashboard.screen.volumes import volumes_table
from console.snapshot import Snapshot, VolumeSource
from quantify.budget import BudgetTerm
from quantify.findings import VolumeStatus
from quantify.model import Role


def changed(snapshot: Snapshot, name: str, **changes: object) -> Snapshot:
    last = snapshot.results[-1]
    volumes = last.volumes | {name: replace(last.volumes[name], **changes)}
    return replace(snapshot, results=(*snapshot.results[:-1], replace(last, volumes=volumes)))


def cells(snapshot: Snapshot, name: str) -> dict[str, object]:
    table = volumes_table(snapshot, snapshot.results[-1])
    row = next(row for row in table.rows if row.cells[1].text == name)
    return dict(zip(table.columns, row.cells, strict=True))


def row_of(snapshot: Snapshot, name: str):
    return next(row for row in volumes_table(snapshot, snapshot.results[-1]).rows if row.cells[1].text == name)


def test_every_row_has_a_cell_for_every_column(words):
    table = volumes_table(words, words.results[-1])
    assert {len(row.cells) for row in table.rows} == {len(table.columns)}
    assert [row.cells[1].text for row in table.rows] == ["Tumour 1", "Tumour 2", "Tumour 3", "Healthy liver", "Liver"]


def test_d70_and_coverage_carry_their_own_uncertainty(words):
    own = cells(words, "Tumour 1")
    assert own["Mean dose"].text == "118 ± 10 Gy"
    assert own["D70"].text == "94 ± 12 Gy"
    assert own["≥ 90 Gy"].text == "79 ± 5 %"
    assert "95 % interval 71…118 Gy" in own["D70"].tooltip
    assert "setting statistics.coverage_Gy = 90 Gy" in own["≥ 90 Gy"].tooltip


def test_without_its_own_uncertainty_d70_is_about_and_rounded_like_the_mean(words):
    assert cells(changed(words, "Tumour 1", intervals={}), "Tumour 1")["D70"].text == "≈ 94 Gy"


def test_the_tooltip_of_the_mean_tells_interval_budget_and_warning(words):
    terms = tuple(
        BudgetTerm(name=name, u_gy=u, share_of_variance_pct=share, correlated_with="")
        for name, u, share in (("voxel noise", 1.0, 2.0), ("relaxivity", 7.0, 98.0))
    )
    own = cells(changed(words, "Tumour 1", budget=terms, warning="small lesion: volume 4.2 mL"), "Tumour 1")
    tooltip = own["Mean dose"].tooltip
    assert "95 % interval 98…138 Gy" in tooltip
    assert tooltip.index("relaxivity 7.0 Gy (98 %") < tooltip.index("voxel noise 1.0 Gy (2 %")
    assert "small lesion" in tooltip
    assert own["mL"].text.startswith("!")
    assert own["mL"].tooltip.startswith("small lesion")


def test_volumes_fed_from_the_position_in_question_are_marked_and_the_others_not(words):
    rows = {name: row_of(words, name) for name in ("Tumour 1", "Tumour 2", "Tumour 3", "Healthy liver")}
    assert [name for name, row in rows.items() if row.highlighted] == ["Tumour 1", "Tumour 2"]
    assert cells(words, "Tumour 1")["Position"].text == "▸ RHA"
    assert cells(words, "Tumour 3")["Position"].text == "LHA"
    elsewhere = replace(words, results=(*words.results[:-1], replace(words.results[-1], position="LHA")))
    assert row_of(elsewhere, "Tumour 3").highlighted
    assert cells(elsewhere, "Tumour 1")["Position"].text == "RHA"


def test_a_plan_that_does_not_tell_positions_apart_marks_none(words):
    plan = SimpleNamespace(**vars(words.plan) | {"positions": {"RHA": SimpleNamespace(territory=None, volumes=None)}})
    table = volumes_table(replace(words, plan=plan), words.results[-1])
    assert "Position" not in table.columns
    assert not any(row.highlighted for row in table.rows)


def test_the_source_of_a_volume_is_its_version_and_hash(words):
    own = cells(words, "Tumour 1")["Source"]
    assert own.text == "v2 2c4e9a"
    assert own.tone is Tone.CAUTION
    assert "it replaces an earlier version" in own.tooltip
    first = replace(words, volume_sources={"Tumour 1": VolumeSource(title="T", sha256="ab" * 32, version=1)})
    assert cells(first, "Tumour 1")["Source"].text == "v1 ababab"
    assert cells(first, "Tumour 1")["Source"].tone is Tone.MUTED
    assert cells(first, "Tumour 2")["Source"].text == "—"
    assert cells(first, "Healthy liver")["Source"].text == "derived"


def test_the_part_of_a_volume_outside_the_images_is_said(finished):
    volume = next(v for v in finished.volumes if v.name == "Tumour 1")
    half = replace(volume, contour_volume_ml=2 * volume.volume_ml)
    odd = replace(finished, volumes=tuple(half if v is volume else v for v in finished.volumes))
    assert cells(odd, "Tumour 1")["Source"].text == "v2 2c4e9a · 50 % out"
    assert "out" not in cells(finished, "Tumour 1")["Source"].text


def test_what_cannot_be_evaluated_says_why_and_shows_no_number(words):
    odd = changed(words, "Tumour 3", reasons={"air_interface": 0.8, "poor_fit": 0.08})
    own = cells(odd, "Tumour 3")
    assert own["Mean dose"].text == "— not evaluable"
    assert [own[name].text for name in ("D70", "≥ 90 Gy", "CV", "T/N")] == ["—"] * 4
    assert own["Trend"].text == "12 % evaluable: air interface"
    assert own["Evaluable"].text == "! 12 %"
    assert "air interface: 80 %" in own["Evaluable"].tooltip
    assert "poor fit: 8 %" in own["Evaluable"].tooltip


def test_a_lower_bound_has_its_sign_at_every_dose_and_no_plus_minus(words):
    odd = changed(words, "Tumour 1", status=VolumeStatus.LOWER_BOUND, message="12 % of the voxels at the noise floor")
    own = cells(odd, "Tumour 1")
    for name in ("Mean dose", "D70", "≥ 90 Gy"):
        assert own[name].text.startswith("≥ ")
        assert "±" not in own[name].text
    assert "noise floor" in own["Mean dose"].tooltip


@pytest.mark.parametrize("name", ["Tumour 1", "Tumour 3", "Healthy liver", "Liver"])
def test_every_number_says_its_source(words, name):
    for column, cell in cells(words, name).items():
        if column not in ("", "Volume", "Trend") and any(letter.isdigit() for letter in cell.text):
            assert "Source" in cell.tooltip, column


def test_the_same_treatment_gives_the_same_table(words):
    assert volumes_table(words, words.results[-1]) is volumes_table(words, words.results[-1])
    assert volumes_table(words, words.results[0]) != volumes_table(words, words.results[-1])


def test_many_tumours_come_before_the_liver(words):
    last = words.results[-1]
    more = {f"Tumour {k}": statistics(f"Tumour {k}", Role.TUMOUR, 80.0, 8.0, 5.0) for k in range(4, 9)}
    names = [row.cells[1].text for row in volumes_table(words, replace(last, volumes=last.volumes | more)).rows]
    assert names[-2:] == ["Healthy liver", "Liver"]
    assert len(names) == 10
