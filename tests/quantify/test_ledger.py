"""Nothing is lost in the ledger: Σ net + Σ residual = Σ vials, all decayed to one time (physics §1, §2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from quantify.isotope import holmium_166
from quantify.ledger import Batch, LedgerEntry, Residual, Vial, ledger
from quantify.ledger_division import Sharer, divided

HO = holmium_166()
NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
BATCH = Batch(specific_activity_mbq_per_mg=12.0, reference_time=NOON, holmium_fraction=0.195)


def after(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def vial(name: str = "A", activity: float = 1000.0, *, hours: float = 0.0, mass: float | None = 100.0, **own) -> Vial:
    return Vial(name=name, activity_mbq=activity, assay_time=after(hours), mass_mg=mass, **own)


def entry(fraction: int, *vials: str, hours: float | None = 0.0, **own) -> LedgerEntry:
    time = None if hours is None else after(hours)
    return LedgerEntry(key=("RHA", fraction), batch=BATCH, time=time, vials=vials, **own)


def residual(activity: float, *fractions: int, hours: float = 0.0) -> Residual:
    return Residual(activity_mbq=activity, assay_time=after(hours), injections=tuple(("RHA", f) for f in fractions))


def written(entries, vials=(), residuals=()):
    return ledger(entries, vials=vials, residuals=residuals, isotope=HO, loss_pct=8.6, loss_u_pct=4.0)


def at_noon(activity: float | None, hours: float) -> float:
    assert activity is not None
    return activity * HO.decay_factor(after(hours), NOON)


@pytest.mark.parametrize(("activity", "days"), [(6000.0, 3.40), (2000.0, 1.63)])
def test_what_is_drawn_decays_to_the_time_of_injection(activity, days):
    """docs/physics.md §8: 6 GBq after 3.40 d, 2 GBq after 1.63 d: 0.7275 GBq."""
    row = written([entry(1, "A", hours=24 * days)], [vial(activity=activity)], [residual(0.0, 1)]).rows[0]
    assert row.net_mbq == row.drawn_mbq == pytest.approx(727.5, rel=2e-3)


def test_a_vial_is_divided_by_planned_activities():
    """docs/physics.md §8: 8.06 GBq in fractions of 10/30/30/30 % are 0.806 + 3 × 2.418 GBq."""
    planned = [806.0, 2418.0, 2418.0, 2418.0]
    entries = [entry(n, "A", planned_mbq=p) for n, p in enumerate(planned, 1)]
    rows = written(entries, [vial(activity=8060.0)], [residual(0.0, 1, 2, 3, 4)]).rows
    assert [row.net_mbq for row in rows] == pytest.approx(planned)
    assert all("divided by planned activities over RHA F1, RHA F2" in (row.provisional_reason or "") for row in rows)


def test_a_shared_vial_is_never_counted_twice():
    rows = written([entry(1, "A"), entry(2, "A", hours=1.0)], [vial()]).rows
    assert rows[0].drawn_mbq == pytest.approx(500.0), "equally, as nothing is planned"
    assert rows[1].drawn_mbq == pytest.approx(500.0 * HO.decay_factor(NOON, after(1.0)))
    assert "divided equally" in (rows[0].provisional_reason or "")


@pytest.mark.parametrize("seed", range(12))
def test_net_and_residual_add_up_to_the_vials(seed):
    rng = np.random.default_rng(seed)
    names = ["A", "B", "C"][: rng.integers(1, 4)]
    vials = [vial(n, rng.uniform(500, 3000), hours=rng.uniform(-30, 0), mass=rng.uniform(50, 200)) for n in names]
    times = np.sort(rng.uniform(0, 3, 4))
    entries = [
        entry(n, *(sorted(set(rng.choice(names, rng.integers(1, len(names) + 1))))), hours=float(hours))
        for n, hours in enumerate(times, 1)
    ]
    if seed % 3:
        entries = [replace(one, planned_mbq=rng.uniform(200, 900)) for one in entries]
    used = {name for one in entries for name in one.vials}
    residuals = [residual(rng.uniform(1, 30), 1, 2, 3, 4, hours=5.0)] if seed % 2 else []
    book = written(entries, vials, residuals)
    held = sum(v.activity_mbq * HO.decay_factor(v.assay_time, NOON) for v in vials if v.name in used)
    net = sum(at_noon(row.net_mbq, h) for row, h in zip(book.rows, times, strict=True))
    left = sum(at_noon(row.residual_mbq, h) for row, h in zip(book.rows, times, strict=True))
    assert net + left == pytest.approx(held, rel=1e-9)
    if residuals:
        assert left == pytest.approx(residuals[0].activity_mbq * HO.decay_factor(after(5.0), NOON), rel=1e-9)
    else:
        assert left == pytest.approx(0.086 * held, rel=1e-9)
    for name in used:
        assert sum(row.vial_shares.get(name, 0.0) for row in book.rows) == pytest.approx(1.0, rel=1e-12)


def test_until_a_residual_is_measured_8_6_percent_are_assumed_lost():
    row = written([entry(1, "A")], [vial()]).rows[0]
    assert (row.net_mbq, row.u_mbq, row.residual_mbq) == (
        pytest.approx(914.0),
        pytest.approx(40.0),
        pytest.approx(86.0),
    )
    assert row.provisional_reason == "residual not measured; a loss of 8.6 % is assumed"
    assert not row.residual_measured


def test_a_residual_is_shared_by_what_each_drew_and_decayed_to_each():
    entries = [entry(1, "A"), entry(2, "B", hours=2.0)]
    rows = written(entries, [vial("A", 900.0), vial("B", 300.0)], [residual(120.0, 1, 2, hours=4.0)]).rows
    assert rows[0].residual_mbq == pytest.approx(90.0 * HO.decay_factor(after(4.0), after(0.0)))
    assert rows[1].residual_mbq == pytest.approx(30.0 * HO.decay_factor(after(4.0), after(2.0)))
    assert rows[0].provisional_reason is rows[1].provisional_reason is None


def test_mixed_vials_have_total_activity_over_total_mass_of_what_was_drawn():
    vials = [vial("A", 1000.0, mass=100.0), vial("B", 600.0, mass=30.0)]
    mixed = written([entry(1, "A", "B")], vials).rows[0]
    assert mixed.specific_activity_mbq_per_mg == pytest.approx(1600.0 / 130.0)
    # F1 has vial A for itself and is planned to take 1100 of 1600: 100 come from B.
    entries = [entry(1, "A", "B", planned_mbq=1100.0), entry(2, "B", planned_mbq=500.0)]
    rows = written(entries, vials).rows
    assert rows[0].vial_shares == pytest.approx({"A": 1.0, "B": 1 / 6})
    assert rows[0].specific_activity_mbq_per_mg == pytest.approx(1100.0 / 105.0)
    assert rows[0].drawn_mg == pytest.approx(105.0)
    assert rows[1].specific_activity_mbq_per_mg == pytest.approx(20.0)


def test_holmium_content_is_that_of_the_mass_drawn():
    own = [vial("A", mass=100.0), vial("B", mass=300.0, holmium_fraction=0.191)]
    assert written([entry(1, "A", "B")], own).rows[0].holmium_fraction == pytest.approx(0.25 * 0.195 + 0.75 * 0.191)
    assert written([entry(1, "A")], own).rows[0].holmium_fraction == 0.195


def test_a_given_activity_is_final_and_taken_off_the_shared_vial_first():
    entries = [entry(1, "A", given_mbq=180.0), entry(2, "A", planned_mbq=400.0), entry(3, "A", planned_mbq=400.0)]
    rows = written(entries, [vial()], [residual(100.0, 1, 2, 3)]).rows
    assert (rows[0].net_mbq, rows[0].u_mbq, rows[0].provisional_reason) == (180.0, None, None)
    assert rows[0].drawn_mbq == pytest.approx(200.0), "a tenth stayed behind of everything"
    assert [row.net_mbq for row in rows[1:]] == pytest.approx([360.0, 360.0])
    assert sum((row.net_mbq or 0) + (row.residual_mbq or 0) for row in rows) == pytest.approx(1000.0)


def test_more_given_than_the_vials_held_is_said():
    row = written([entry(1, "A", given_mbq=1200.0)], [vial()]).rows[0]
    assert row.net_mbq == 1200.0
    assert row.provisional_reason == "the 1200 MBq given exceed the 1000 MBq that its vials held"
    starved = written([entry(1, "A", given_mbq=1200.0), entry(2, "A")], [vial()]).rows[1]
    assert starved.net_mbq is None
    assert "nothing was left" in (starved.provisional_reason or "")


def test_an_aborted_injection_is_unknown_unless_a_residual_of_its_own_tells():
    plain = entry(1, "A", aborted=True)
    unknown = written([plain], [vial()]).rows[0]
    assert (unknown.net_mbq, unknown.drawn_mbq) == (None, 1000.0)
    assert unknown.provisional_reason == "aborted; the delivered activity is not known"
    told = written([plain], [vial()], [residual(700.0, 1)]).rows[0]
    assert (told.net_mbq, told.provisional_reason) == (pytest.approx(300.0), None)
    shared = written([plain, entry(2, "B")], [vial(), vial("B")], [residual(300.0, 1, 2)]).rows
    assert shared[0].net_mbq is None
    assert "together with that of the aborted RHA F1" in (shared[1].provisional_reason or "")


def test_what_has_not_happened_draws_its_share_but_has_no_activity():
    rows = written([entry(1, "A", planned_mbq=250.0), entry(2, "A", planned_mbq=750.0, hours=None)], [vial()]).rows
    assert rows[0].drawn_mbq == pytest.approx(250.0)
    assert (rows[1].drawn_mbq, rows[1].net_mbq, rows[1].specific_activity_mbq_per_mg) == (None, None, None)
    assert rows[1].vial_shares == pytest.approx({"A": 0.75})


def test_without_vials_the_given_activity_and_the_batch_stand():
    row = written([entry(1, hours=26.8, given_mbq=420.0)]).rows[0]
    assert (row.net_mbq, row.drawn_mbq, row.residual_mbq) == (420.0, None, None)
    assert row.specific_activity_mbq_per_mg == pytest.approx(6.0)
    unweighed = written([entry(1, "A", hours=26.8)], [vial(mass=None)]).rows[0]
    assert unweighed.specific_activity_mbq_per_mg == pytest.approx(6.0)


def test_a_residual_above_what_was_drawn_gives_no_number():
    row = written([entry(1, "A")], [vial()], [residual(900.0, 1), residual(200.0, 1)]).rows[0]
    assert row.net_mbq is None
    assert "exceeds the 1000 MBq drawn" in (row.provisional_reason or "")


def test_a_residual_of_no_known_injection_is_kept_aside():
    stray = residual(10.0, 9)
    book = written([entry(1, "A")], [vial()], [stray])
    assert book.unallocated == (stray,)
    assert book.rows[0].provisional_reason == "residual not measured; a loss of 8.6 % is assumed"
    with pytest.raises(KeyError):
        book.row(("RHA", 9))


@pytest.mark.parametrize(
    ("entries", "vials", "said"),
    [
        ([entry(1, "X")], [vial()], r"names vials \('X',\); expected each once, of \['A'\]"),
        ([entry(1, "A", "A")], [vial()], "expected each once"),
        ([entry(1, "A"), entry(1, "A")], [vial()], "RHA F1 is entered 2 times"),
        ([entry(1, "A")], [vial(), vial()], "2 vials are named 'A'"),
        ([entry(1, "A")], [vial(activity=float("nan"))], "vial A activity_mbq is nan"),
        ([entry(1, "A")], [vial(mass=-1.0)], "vial A mass_mg is -1.0"),
        ([entry(1, given_mbq=-3.0)], [], "RHA F1 given_mbq is -3.0"),
        ([entry(1, planned_mbq=float("inf"))], [], "RHA F1 planned_mbq is inf"),
    ],
)
def test_bad_input_is_refused_by_name(entries, vials, said):
    with pytest.raises(ValueError, match=said):
        written(entries, vials)


def test_a_loss_above_all_is_refused():
    with pytest.raises(ValueError, match="loss_pct is 101"):
        ledger([], vials=[], residuals=[], isotope=HO, loss_pct=101.0, loss_u_pct=0.0)


def test_a_division_that_cannot_be_still_empties_every_vial():
    # F1's own vial already exceeds its part of the whole: it takes nothing of the shared one.
    shares = divided(
        [Sharer(vials=("A", "B"), planned_mbq=100.0), Sharer(vials=("B",), planned_mbq=900.0)], {"A": 500.0, "B": 500.0}
    )
    assert shares[0]["A"] == pytest.approx(1.0)
    assert shares[0]["B"] + shares[1]["B"] == pytest.approx(1.0)
    assert shares[0]["B"] < 0.01
    known = divided([Sharer(vials=("A",), taken_mbq=0.0), Sharer(vials=("A",), taken_mbq=0.0)], {"A": 10.0})
    assert [share["A"] for share in known] == [0.5, 0.5]
    assert divided([Sharer(vials=("A",)), Sharer(vials=("A",))], {"A": 0.0}) == ({"A": 0.5}, {"A": 0.5})
