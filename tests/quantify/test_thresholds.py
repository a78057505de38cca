"""Published thresholds carry what they were found with; one of 90Y is never applied to 166Ho silently (physics §6)."""

from __future__ import annotations

import pytest

from quantify.thresholds import (
    THRESHOLDS,
    applies_to,
    canonical_isotope,
    limit_provenance,
    thresholds_for,
)


@pytest.mark.parametrize(
    ("isotope", "tissue", "device", "values"),
    [
        ("166Ho", "healthy_liver", "holmium", [55, 60, 40]),
        ("166Ho", "tumour", "holmium", [150, 90, 155, 173]),
        ("90Y", "tumour", "resin", [100, 81, 80, 98, 7.7, 6.9]),
        ("90Y", "tumour", "glass", [205, 400, 139, 189, 156, 5.0, 4.4]),
        ("90Y", "healthy_liver", "glass", [88, 113]),
    ],
)
def test_the_table_holds_every_row_of_the_facts(isotope, tissue, device, values):
    rows = [row for row in thresholds_for(tissue=tissue, isotope=isotope) if device in row.device]
    assert [row.value for row in rows] == values


def test_every_threshold_is_in_one_of_those_rows():
    assert len(THRESHOLDS) == 22
    assert len(set(THRESHOLDS)) == 22


@pytest.mark.parametrize("row", THRESHOLDS, ids=lambda row: f"{row.source} {row.value:g}")
def test_every_threshold_states_its_whole_provenance_with_a_unit(row):
    for name in ("isotope", "device", "population", "method", "evidence", "source"):
        assert getattr(row, name), name
        assert getattr(row, name) in row.sentence
    assert f"{row.value:g}" in row.sentence
    assert row.sentence.endswith(".")
    if row.quantity == "mean dose":
        assert " Gy:" in row.sentence
        assert row.dose_gy == row.value
    else:
        assert " Gy" not in row.sentence
        assert row.dose_gy is None


def test_a_range_tells_both_ends():
    (row,) = (row for row in THRESHOLDS if row.high is not None)
    assert "between 80 and 120 Gy" in row.sentence


@pytest.mark.parametrize("row", THRESHOLDS, ids=lambda row: f"{row.source} {row.value:g}")
def test_a_threshold_holds_for_its_own_isotope_only_and_says_so(row):
    own = applies_to(row, isotope=row.isotope)
    assert own.applies
    assert own.sentence == ""
    other = "166Ho" if row.isotope == "90Y" else "90Y"
    foreign = applies_to(row, isotope=other)
    assert not foreign.applies
    assert f"does not carry over to {other}" in foreign.sentence
    assert row.source in foreign.sentence
    assert row.isotope in foreign.sentence


def test_look_up_by_population():
    rows = thresholds_for(tissue="tumour", isotope="Ho-166", population="colorectal")
    assert [row.value for row in rows] == [90, 173]
    assert thresholds_for(population="breast") == ()
    assert thresholds_for() == THRESHOLDS


@pytest.mark.parametrize("name", ["166Ho", "Ho-166", "ho166", "holmium-166", "Holmium 166", " 166-Ho "])
def test_holmium_has_one_name(name):
    assert canonical_isotope(name) == "166Ho"
    assert applies_to(THRESHOLDS[0], isotope=name).applies


@pytest.mark.parametrize(
    ("name", "canonical"), [("Y90", "90Y"), ("yttrium-90", "90Y"), ("177Lu", "177Lu"), ("unknown", "unknown")]
)
def test_other_isotopes_keep_their_name(name, canonical):
    assert canonical_isotope(name) == canonical


def test_an_empty_isotope_is_refused():
    with pytest.raises(ValueError, match="isotope is empty"):
        canonical_isotope("  ")


def test_a_limit_with_provenance_says_all_of_it():
    sentence = limit_provenance(
        isotope="Ho-166", device="QuiremSpheres", population="CRC", method="SPECT", source="van Roekel 2021"
    )
    assert sentence == (
        "Limit found with isotope 166Ho, device QuiremSpheres, population CRC, method SPECT, source van Roekel 2021."
    )


def test_what_a_plan_leaves_out_is_named_not_guessed():
    sentence = limit_provenance(isotope="166Ho", source="site protocol")
    assert "Not stated: device, population, method." in sentence
    assert limit_provenance() == limit_provenance(source=" ") == "The plan does not state where this limit comes from."


def test_a_limit_of_another_isotope_says_that_it_does_not_carry_over():
    sentence = limit_provenance(isotope="Y-90", device="glass", population="CRC", method="PET", source="cohort")
    assert "isotope 90Y" in sentence
    assert sentence.endswith("It does not carry over to 166Ho.")
    assert "carry over" not in limit_provenance(isotope="Y-90", treated_with="yttrium-90")
