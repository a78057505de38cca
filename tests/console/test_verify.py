"""``--verify``: identical on the same file; a changed plan, setting or payload is named."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from config.plan import load_plan
from config.settings import load_settings
from console.demo.phantom_acquisition import AcquisitionOptions
from console.demo.phantom_dicom import small_options, write_phantom
from console.demo.phantom_headers import Flavour
from console.engine import Engine
from console.outputs.results import fraction_document
from console.outputs.wording import software_version
from console.provenance import Provenance, provenance
from console.session import Session
from console.verify import TOLERANCE, Verdict, largest_difference, recomputed, verification
from dicom_listener.events import Event, Kind
from dicom_listener.record import Record

ZONE = "Europe/Amsterdam"
NINE = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> list[tuple[Event, bytes | None]]:
    """All events, with objects, of a file that an operator's console has been at."""
    protocol = AcquisitionOptions(
        shape=(14, 40, 60), spacing_mm=(12.0, 6.5, 6.5), echo_times_s=(0.0012, 0.003, 0.006, 0.01), subsamples=1
    )
    root = tmp_path_factory.mktemp("verify")
    phantom = write_phantom(
        root / "p",
        small_options(
            flavour=Flavour.PHILIPS_ENHANCED, n_tumours=2, fractions=2, acquisition=protocol, saturating_tumour=None
        ),
    )
    plan, settings = load_plan(phantom.plan_path, site_time_zone=ZONE), load_settings()
    with Record.create(root / "shown.holmia") as record:
        payload = {
            "plan": plan.to_mapping(),
            "sha256": plan.sha256,
            "settings": {
                "quantification": settings.quantification.to_mapping(),
                "alarms": settings.alarms.to_mapping(),
            },
            "time_zone": ZONE,
        }
        record.append(Kind.PLAN_LOADED, payload, actor="test", utc=NINE)
        session = Session(record=record, engine=Engine(), clock=lambda: NINE, operator=True)
        seen = 0
        for folder in phantom.series_folders:
            for path in sorted(folder.rglob("*.dcm")):
                stored = {"association": folder.name}
                record.append(Kind.INSTANCE_STORED, stored, actor="listener", utc=NINE, data=path.read_bytes())
            record.append(Kind.ASSOCIATION_CLOSED, {"association": folder.name}, actor="listener", utc=NINE)
            while batch := record.events(seen):
                session.take(batch)
                seen = batch[-1].seq
        kept = []
        after = 0
        while batch := record.events(after):
            kept += [(e, record.object_bytes(e.object_sha256) if e.object_sha256 else None) for e in batch]
            after = batch[-1].seq
    return kept


HERE = Provenance(software_version=software_version(), code_sha256="c0de", machine="this one")


def verify_shown(record: Record, here: Provenance = HERE, **others):
    return verification(record, here=here, **others).results


def rewritten(path: Path, events: list[tuple[Event, bytes | None]], change=lambda event, payload: None) -> Record:
    """A file of the same events, each payload first given to `change`; the chain of hashes is sound again."""
    record = Record.create(path)
    for event, data in events:
        payload = copy.deepcopy(event.payload)
        change(event, payload)
        record.append(event.kind, payload, actor=event.actor, utc=event.utc, data=data)
    return record


def test_the_same_file_is_identical(shown, tmp_path):
    with rewritten(tmp_path / "same.holmia", shown) as record:
        told: list[int] = []
        comparisons = verify_shown(record, progress=lambda done, of: told.append(done))
        assert [(c.label, c.verdict, c.detail) for c in comparisons] == [
            ("RHA F1", "identical", ""),
            ("RHA F2", "identical", ""),
        ]
        assert told == list(range(1, record.head().seq + 1))


def test_verifying_writes_nothing(shown, tmp_path):
    with rewritten(tmp_path / "same.holmia", shown) as record:
        before = record.head()
        verify_shown(record)
        assert record.head() == before


def test_a_changed_setting_is_different_and_says_where(shown, tmp_path):
    def change(event, payload):
        if event.kind == Kind.PLAN_LOADED:
            payload["plan"]["calibration"]["relaxivity_per_s_per_mg_mL"] = 216.0

    with rewritten(tmp_path / "other.holmia", shown, change) as record:
        first, second = verify_shown(record)
    assert (first.verdict, second.verdict) == ("different", "different")
    assert first.detail.startswith("Largest relative difference")
    assert "volumes." in first.detail or "trend." in first.detail


def test_an_altered_number_is_different_and_says_which(shown, tmp_path):
    def change(event, payload):
        if event.kind == Kind.RESULT_SHOWN and payload["fraction"] == 2:
            payload["result"]["volumes"]["Tumour 1"]["dose_mean_Gy"] *= 1.01

    with rewritten(tmp_path / "altered.holmia", shown, change) as record:
        first, second = verify_shown(record)
    assert first.verdict == "identical"
    assert second.verdict == "different"
    assert "in volumes.Tumour 1.dose_mean_Gy" in second.detail
    assert second.where == "volumes.Tumour 1.dose_mean_Gy"
    assert second.difference == pytest.approx(0.01, rel=0.02)


def test_the_last_digits_are_within_tolerance_and_told(shown, tmp_path):
    def change(event, payload):
        if event.kind == Kind.RESULT_SHOWN:
            payload["result"]["volumes"]["Tumour 1"]["dose_mean_Gy"] *= 1 + 1e-7
            payload["software_version"] = "0.0.1"

    with rewritten(tmp_path / "digits.holmia", shown, change) as record:
        comparisons = verify_shown(record)
    assert {c.verdict for c in comparisons} == {"within tolerance"}
    assert "shown by version 0.0.1, recomputed by " in comparisons[0].detail


def test_maps_that_differ_in_their_last_digits_are_not_identical(shown, tmp_path):
    def change(event, payload):
        if event.kind == Kind.RESULT_SHOWN:
            payload["map_sha256"]["dose"] = "0" * 64

    with rewritten(tmp_path / "maps.holmia", shown, change) as record:
        comparisons = verify_shown(record)
    assert {c.verdict for c in comparisons} == {"within tolerance"}
    assert comparisons[0].detail.startswith("No number differs, but a map does; by how much was not recorded")


def test_on_the_same_machine_by_the_same_code_every_bit_has_to_be_the_same(shown):
    event = next(event for event, _ in shown if event.kind == Kind.RESULT_SHOWN)
    was = replace(event, payload=copy.deepcopy(event.payload) | HERE.to_mapping())
    was.payload["result"]["volumes"]["Tumour 1"]["dose_mean_Gy"] *= 1 + 1e-7
    here, elsewhere, other_code, same = (
        recomputed(*own)
        for own in (
            (was, event.payload, HERE),
            (was, event.payload, replace(HERE, machine="another")),
            (was, event.payload, replace(HERE, code_sha256="other")),
            (was, was.payload, HERE),
        )
    )
    assert here.verdict is Verdict.DIFFERENT
    assert "every bit should be the same" in here.detail
    assert elsewhere.verdict is Verdict.WITHIN_TOLERANCE
    assert "on another machine" in elsewhere.detail
    assert other_code.verdict is Verdict.WITHIN_TOLERANCE
    assert "by other code of version" in other_code.detail
    assert (same.verdict, same.detail) == (Verdict.IDENTICAL, "")


def test_a_file_that_is_read_again_gives_the_same_and_computes_nothing_again(shown):
    first = Engine(read_again=True)
    events_of_shown = {event.payload["after_seq"] for event, _ in shown if event.kind == Kind.RESULT_SHOWN}
    told: list[str] = []

    def read(engine: Engine, until: int):
        engine.announce_to(told.append)
        for event, data in shown:
            if event.seq <= until:
                engine.take(event, data)
        for _ in engine.advance():
            pass
        return [fraction_document(result, ZoneInfo(ZONE)) for result in engine.results]

    both = read(first, shown[-1][0].seq)
    assert any(words for words in told)
    told.clear()
    earlier = first.afresh()
    one = read(earlier, min(events_of_shown))
    assert one == [next(e.payload["result"] for e, _ in shown if e.kind == Kind.RESULT_SHOWN)]
    assert read(earlier.afresh(), shown[-1][0].seq) == both
    assert not [words for words in told if "R2*" in words]


def test_the_provenance_of_a_process_stays_and_names_what_computes():
    here = provenance()
    assert here == provenance()
    assert here.computes_as(here)
    assert not here.computes_as(replace(here, machine=""))
    assert not replace(here, code_sha256="").computes_as(replace(here, code_sha256="")), "not recorded is not the same"
    assert all(name in here.machine for name in ("numpy", "SimpleITK", "Python"))


def test_a_result_that_no_event_explains_is_different(shown, tmp_path):
    def change(event, payload):
        if event.kind == Kind.RESULT_SHOWN and payload["fraction"] == 2:
            payload["fraction"] = 7

    with rewritten(tmp_path / "made_up.holmia", shown, change) as record:
        second = verify_shown(record)[1]
    assert (second.verdict, second.detail) == ("different", "No result is computed from these events.")


def test_a_file_that_nobody_looked_at_has_nothing_to_compare(tmp_path):
    with Record.create(tmp_path / "empty.holmia") as record:
        own = verification(record, here=HERE)
        assert (own.results, own.verdict) == ((), Verdict.IDENTICAL)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"a": 1.0}, {"a": 1.0}, (0.0, "")),
        ({"a": 1.0, "b": {"c": [1.0, 2.0]}}, {"a": 1.0, "b": {"c": [1.0, 2.2]}}, (0.2 / 2.2, "b.c[1]")),
        ({"a": 1}, {"b": 1}, (math.inf, "a")),
        ({"a": 1}, {"a": 1, "new": 2}, (0.0, "")),
        ({"a": 1, "gone": 2}, {"a": 1}, (math.inf, "gone")),
        ({"dvh": {"dose_Gy": [0.001]}}, {"dvh": {"dose_Gy": [0.002]}}, (1e-5, "dvh.dose_Gy[0]")),
        ({"dvh": {"dose_Gy": [0.001]}}, {"dvh": {"dose_Gy": [0.003]}}, (2 / 3, "dvh.dose_Gy[0]")),
        ({"translation_mm": [1e-9]}, {"translation_mm": [3e-9]}, (2e-9, "translation_mm[0]")),
        (
            {"volumes": {"T": {"dose_mean_Gy": 100.0}}, "trend": {"T": {"deviation_Gy": 1e-6}}},
            {"volumes": {"T": {"dose_mean_Gy": 100.0}}, "trend": {"T": {"deviation_Gy": 3e-6}}},
            (2e-8, "trend.T.deviation_Gy"),
        ),
        ({"a": [1]}, {"a": [1, 2]}, (math.inf, "a")),
        ({"a": None}, {"a": 0.0}, (math.inf, "a")),
        ({"a": True}, {"a": 1}, (math.inf, "a")),
        ({"a": "ok"}, {"a": "failed"}, (math.inf, "a")),
        ({"a": 0.0}, {"a": 1e-300}, (1.0, "a")),
        ({}, {}, (0.0, "")),
    ],
)
def test_the_largest_difference_and_where_it_is(first, second, expected):
    difference, where = largest_difference(first, second)
    assert difference == pytest.approx(expected[0])
    assert where == expected[1]


def test_the_low_end_of_an_interval_is_held_against_its_other_end_and_not_against_a_dose_of_other_unit():
    def volume(key, low, high):
        return {"volumes": {"T": {"dose_mean_Gy": 144.0, "intervals": {key: {"low_95": low, "high_95": high}}}}}

    difference, where = largest_difference(volume("coverage", 0.8, 1.0), volume("coverage", 0.801, 1.0))
    assert (difference, where) == (pytest.approx(1e-3), "volumes.T.intervals.coverage.low_95")
    assert difference > TOLERANCE
    near_zero = largest_difference(volume("dose_mean_Gy", 1e-9, 11.4), volume("dose_mean_Gy", -1e-9, 11.4))
    assert near_zero[0] < TOLERANCE
