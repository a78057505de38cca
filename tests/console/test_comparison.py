"""Comparing: nothing differs from itself, B against A is A against B turned round, every number is its side's."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "outputs"))

import treated as made

from console.comparison import COVERAGE_FACTOR, Comparison, Side, Verdict, compare
from console.comparison_words import HEADINGS, line, summary
from console.outputs.comparison_document import (
    comparison_csv,
    comparison_document,
    comparison_json,
    side_that_may_leave,
)
from console.outputs.comparison_folder import NAMES, refuse_existing_comparison, write_comparison_files
from console.outputs.error import OutputError
from console.outputs.identity import Identified
from console.outputs.results import fraction_document, results_document
from console.snapshot import Snapshot, VolumeSource
from quantify.dvh import thinned
from quantify.findings import FractionStatus, VolumeStatistics, VolumeStatus
from quantify.monte_carlo import Spread

CALM = (Verdict.SAME, Verdict.UNTOLD)


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    """Four fractions, without maps and with short curves; tumour 1 is a lower bound."""
    own = made.treated().snapshot
    results = tuple(
        replace(r, maps=None, volumes={name: replace(v, dvh=thinned(v.dvh, 60)) for name, v in r.volumes.items()})
        for r in own.results
    )
    return replace(own, results=results, volumes=())


def scaled(snapshot: Snapshot, factor: float, **changes: object) -> Snapshot:
    """The treatment with all doses times a factor."""

    def one(own: VolumeStatistics) -> VolumeStatistics:
        mean, u = own.dose_mean_gy * factor, own.dose_mean_u_gy * factor
        d70 = Spread(value=own.d70_gy * factor, u=u, low_95=0.0, high_95=1.0)
        return replace(
            own,
            dose_mean_gy=mean,
            dose_mean_u_gy=u,
            d70_gy=own.d70_gy * factor,
            intervals={**own.intervals, "d70_gy": d70},
        )

    results = tuple(
        replace(r, maps=None, volumes={name: one(own) for name, own in r.volumes.items()}) for r in snapshot.results
    )
    return replace(snapshot, results=results, **changes)


def with_volume(snapshot: Snapshot, name: str, **changes: object) -> Snapshot:
    """The treatment with another last result of one volume."""
    *before, last = snapshot.results
    own = replace(last.volumes[name], **changes)
    return replace(snapshot, results=(*before, replace(last, volumes={**last.volumes, name: own})))


def of(a: Snapshot, b: Snapshot) -> Comparison:
    return compare(made.side_of("A", a), made.side_of("B", b))


def row_of(comparison: Comparison, volume: str, key: str):
    return next(r for r in comparison.rows_of(len(comparison.pairs) - 1) if (r.volume, r.quantity.key) == (volume, key))


def test_a_treatment_against_itself_does_not_differ(snapshot):
    comparison = of(snapshot, snapshot)
    assert comparison.nothing_differs
    assert comparison.inputs == ()
    assert {row.verdict for row in comparison.rows} <= set(CALM)
    assert all(row.difference.change in (0.0, None) for row in comparison.rows)
    assert "Nothing differs" in summary(comparison)


def test_b_against_a_is_a_against_b_with_the_other_sign(snapshot):
    other = scaled(snapshot, 1.1)
    there, back = of(snapshot, other), of(other, snapshot)
    assert len(there.rows) == len(back.rows) > 50
    assert any(row.difference.change for row in there.rows)
    for one, its in zip(there.rows, back.rows, strict=True):
        assert (one.volume, one.quantity, one.a, one.b) == (its.volume, its.quantity, its.b, its.a)
        assert one.verdict is its.verdict
        assert (one.difference.u_shared, one.difference.u_separate) == (
            its.difference.u_shared,
            its.difference.u_separate,
        )
        if one.difference.change is not None:
            assert one.difference.change == -its.difference.change


def test_every_number_is_the_one_of_its_sides_results_document(snapshot):
    comparison = of(snapshot, scaled(snapshot, 0.93))
    checked = 0
    for side, of_row in ((comparison.a, lambda row: row.a), (comparison.b, lambda row: row.b)):
        for row in comparison.rows:
            fraction = side.document["fractions"][row.pair]
            key = row.quantity.key
            if row.quantity.worded:
                continue
            if key == "trend_deviation_pct":
                expected = fraction["trend"][row.volume]["deviation_pct"]
            else:
                expected = fraction["volumes"][row.volume][key] if row.volume else fraction[key]
            assert of_row(row).number == expected
            checked += 1
    assert checked > 200


def test_no_difference_of_a_lower_bound_is_told(snapshot):
    comparison = of(snapshot, with_volume(scaled(snapshot, 1.2), "Tumour 1", status=VolumeStatus.OK))
    row = row_of(comparison, "Tumour 1", "dose_mean_Gy")
    assert row.verdict is Verdict.UNTOLD
    assert row.difference.change is None
    cells = dict(zip(HEADINGS, line(row).cells, strict=False))
    assert cells["A"].startswith("≥ ")
    assert "≥" not in cells["B"]
    assert "A is a lower bound" in line(row).cells[-1]
    assert row_of(comparison, "Tumour 1", "status").verdict is Verdict.CHANGED
    assert row_of(comparison, "Tumour 1", "volume_mL").verdict is Verdict.SAME


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(1.0, Verdict.SAME), (1.0 + 2e-6, Verdict.SAME), (1.05, Verdict.EITHER), (1.6, Verdict.BEYOND)],
    ids=["same", "same but for arithmetic", "between the two ends", "beyond both"],
)
def test_a_difference_is_held_against_both_ends_of_its_uncertainty(snapshot, factor, expected):
    row = row_of(of(snapshot, scaled(snapshot, factor)), "Tumour 2", "dose_mean_Gy")
    own = row.difference
    assert row.verdict is expected
    if expected is Verdict.BEYOND:
        assert abs(own.change) > COVERAGE_FACTOR * own.u_separate
    if expected is Verdict.EITHER:
        assert COVERAGE_FACTOR * own.u_shared < abs(own.change) <= COVERAGE_FACTOR * own.u_separate


def test_what_differs_in_what_went_in_is_told_key_by_key(snapshot):
    quantification = snapshot.settings.quantification
    changed = quantification.model_copy(update={"tissue_density_g_per_ml": 1.0})
    sources = {**snapshot.volume_sources, "Tumour 2": VolumeSource(title="a drawing", sha256="ef" * 32, version=2)}
    other = replace(
        snapshot, settings=snapshot.settings.model_copy(update={"quantification": changed}), volume_sources=sources
    )
    inputs = of(snapshot, other).inputs
    assert len(inputs) == 2
    assert inputs[0].startswith("quantification.tissue_density_g_per_mL: ")
    assert inputs[1].startswith("volumes.Tumour 2: version 1 of ")
    assert "→ version 2 of a drawing" in inputs[1]


def test_a_fraction_or_volume_of_one_side_is_told_as_absent(snapshot):
    fewer = replace(snapshot, results=snapshot.results[:3])
    comparison = of(snapshot, fewer)
    assert [pair.label for pair in comparison.pairs] == [r.label for r in snapshot.results]
    assert comparison.pairs[3].b is None
    last = comparison.rows_of(3)
    assert all(row.b.words == "absent" for row in last)
    assert all(row.difference.change is None for row in last)
    assert any("B has no result for RHA F4" in note for note in comparison.notes)
    without = replace(
        snapshot,
        results=tuple(
            replace(r, volumes={n: v for n, v in r.volumes.items() if n != "Tumour 2"}) for r in snapshot.results
        ),
    )
    comparison = of(snapshot, without)
    assert row_of(comparison, "Tumour 2", "dose_mean_Gy").difference.why == "B is absent"
    assert "B has no volume Tumour 2." in comparison.notes


def test_two_treatments_are_matched_by_order_and_compared_per_injected_activity(snapshot):
    other = scaled(snapshot, 1.1, series=(), head_hash="cd" * 32, patient_id="EM1-009")
    results = [replace(r, position="LHA", cumulative_injected_mbq=2 * r.cumulative_injected_mbq) for r in other.results]
    other = replace(other, results=tuple(results))
    comparison = of(snapshot, other)
    assert not comparison.same_treatment
    assert comparison.pairs[1].label == "no. 2: RHA F2 | LHA F2"
    assert any("two treatments" in note and "order" in note for note in comparison.notes)
    a = snapshot.results[-1]
    row = row_of(comparison, "Tumour 2", "dose_mean_per_injected_Gy_per_GBq")
    assert row.a.number == pytest.approx(1000 * a.volumes["Tumour 2"].dose_mean_gy / a.cumulative_injected_mbq)
    assert row.b.number == pytest.approx(0.55 * row.a.number)
    assert not any(r.quantity.key.endswith("GBq") for r in of(snapshot, scaled(snapshot, 1.1)).rows)


def test_coverage_at_two_doses_is_not_subtracted(snapshot):
    statistics = snapshot.settings.quantification.statistics.model_copy(update={"coverage_gy": 70.0})
    quantification = snapshot.settings.quantification.model_copy(update={"statistics": statistics})
    other = replace(snapshot, settings=snapshot.settings.model_copy(update={"quantification": quantification}))
    row = row_of(of(snapshot, other), "Tumour 2", "coverage")
    assert row.verdict is Verdict.UNTOLD
    assert row.difference.why == "told at 90 Gy in A and 70 Gy in B"


def test_failures_and_what_is_provisional_stay_in_words(snapshot):
    *before, last = snapshot.results
    failed = replace(
        last,
        status=FractionStatus.FAILED,
        error="no series follows it",
        volumes={},
        measured_mbq=None,
        recovery_ratio=None,
    )
    comparison = of(snapshot, replace(snapshot, results=(*before, failed)))
    status = row_of(comparison, "", "status")
    assert (status.a.words, status.b.words) == ("ok", "failed: no series follows it")
    assert status.verdict is Verdict.CHANGED
    assert row_of(comparison, "Tumour 2", "dose_mean_Gy").difference.why == "B failed"
    assert comparison.rows_of(0)[0].a.words.startswith("provisional: ")


# -- what is written -----------------------------------------------------------------------------------------------


def leaving(snapshot: Snapshot, letter: str, identity: Identified) -> Side:
    return side_that_may_leave(letter, results_document(snapshot), identity)


def test_the_files_are_the_same_bytes_every_time_and_hold_every_row(snapshot, tmp_path):
    short = replace(snapshot, results=snapshot.results[3:])
    comparison = compare(leaving(short, "A", Identified("one")), leaving(scaled(short, 1.1), "B", Identified("one")))
    for folder in ("first", "second"):
        write_comparison_files(comparison, tmp_path / folder)
    for name in NAMES:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    document = json.loads((tmp_path / "first" / NAMES[0]).read_text(encoding="utf-8"))
    assert len(document["rows"]) == len(comparison.rows)
    lines = (tmp_path / "first" / NAMES[1]).read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(own for own in lines if not own.lstrip('"').startswith("#")))
    assert len(rows) == len(comparison.rows)
    for row, own in zip(rows, document["rows"], strict=True):
        assert row["quantity"] == own["quantity"]
        assert (float(row["a"]) if row["a"] else None) == own["a"]["value"]
        assert (float(row["difference"]) if row["difference"] else None) == own["difference"]
        assert row["verdict"] == own["verdict"]


def test_a_comparison_is_never_written_over_and_leaves_nothing_half_written(snapshot, tmp_path, monkeypatch):
    comparison = of(snapshot, scaled(snapshot, 1.1))
    (tmp_path / NAMES[1]).write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        refuse_existing_comparison(tmp_path)
    monkeypatch.setattr("console.outputs.comparison_pdf.write_comparison", lambda _, path: path.write_bytes(b"%PDF"))
    with pytest.raises(OutputError, match="exists already"):
        write_comparison_files(comparison, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [NAMES[1]]

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("console.outputs.comparison_pdf.write_comparison", full)
    with pytest.raises(OutputError, match="No space left"):
        write_comparison_files(comparison, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_nothing_that_an_identity_keeps_back_is_in_the_files(snapshot):
    class Kept(Identified):
        identified = False

        def document(self, document):
            return json.loads(json.dumps(document).replace("EM1-004", self.name).replace("Tumour 2", "Lesion X"))

        def text(self, text):
            return text.replace("Tumour 2", "Lesion X")

    sides = [
        side_that_may_leave(letter, results_document(own), Kept("HOLMIA-1"), "Tumour 2 version 1")
        for letter, own in (("A", snapshot), ("B", scaled(snapshot, 1.1)))
    ]
    comparison = compare(*sides)
    for text in (comparison_json(comparison), comparison_csv(comparison)):
        assert "EM1-004" not in text
        assert "Tumour 2" not in text
        assert "Lesion X" in text


def test_the_document_of_a_comparison_holds_both_results_documents(snapshot):
    document = comparison_document(
        compare(leaving(snapshot, "A", Identified("x")), leaving(snapshot, "B", Identified("x")))
    )
    own = [fraction_document(r, made.ZONE) for r in snapshot.results]
    assert document["a"]["results"]["fractions"] == own == document["b"]["results"]["fractions"]
    assert "research use only" in document["research_use"]
