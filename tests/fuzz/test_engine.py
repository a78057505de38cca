"""The engine among nearly valid instances: it never stops, and sound series give what they give without them."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from benchmarks.fuzz.mutate import mutated
from benchmarks.fuzz.seeds import seeds, tiny_phantom
from config.plan import load_plan
from config.settings import load_settings
from console.demo.phantom_headers import Flavour
from console.engine import Engine
from dicom_listener.events import Event, Kind

ZONE = "Europe/Amsterdam"
FOREIGN = ("siemens_classic", "siemens_phase", "philips_classic", "rle", "jpeg_lossless", "rtstruct", "segmentation")
"""Single images and structures of other treatments; a whole enhanced series of one might serve as its reference."""


def results(folder, intruders=()):
    """Fold a small treatment, the intruders between its series, and compute."""
    settings = load_settings()
    engine, events = Engine(), []

    def event(kind, data=None, **payload):
        events.append(kind)
        engine.take(
            Event(
                seq=len(events),
                utc=datetime(2026, 3, 4, 8, tzinfo=UTC) + timedelta(seconds=len(events)),
                actor="test",
                kind=kind,
                payload=payload,
                object_sha256=None if data is None else "x",
                previous_hash="",
                hash=f"hash {len(events)}",
            ),
            data,
        )

    plan = load_plan(folder.plan_path, site_time_zone=ZONE)
    stated = {"quantification": settings.quantification.to_mapping(), "alarms": settings.alarms.to_mapping()}
    event(Kind.TREATMENT_CREATED)
    event(Kind.PLAN_LOADED, plan=plan.to_mapping(), sha256=plan.sha256, settings=stated, time_zone=ZONE)
    for number, series in enumerate(folder.series_folders):
        for intruder in intruders[number :: len(folder.series_folders)]:
            event(Kind.INSTANCE_STORED, intruder, association="fuzz")
        event(Kind.ASSOCIATION_CLOSED, association="fuzz")
        for path in sorted(series.rglob("*.dcm")):
            event(Kind.INSTANCE_STORED, path.read_bytes(), association=series.name)
        event(Kind.ASSOCIATION_CLOSED, association=series.name)
        engine.snapshot()
    engine.end()
    list(engine.advance())
    engine.snapshot()
    return engine.results


@pytest.fixture(scope="module")
def treatment(tmp_path_factory):
    return tiny_phantom(tmp_path_factory.mktemp("engine") / "p", Flavour.SIEMENS_ENHANCED)


def test_intruders_neither_stop_the_engine_nor_change_a_result(treatment):
    chance = Random(166)
    intruders = [mutated(seeds()[FOREIGN[n % len(FOREIGN)]], chance) for n in range(60)]
    alone, among = results(treatment), results(treatment, intruders)
    assert [(r.label, r.status, r.series_instance_uid) for r in among] == [
        (r.label, r.status, r.series_instance_uid) for r in alone
    ]
    assert [r.measured_mbq for r in among] == [r.measured_mbq for r in alone]


def test_a_mutated_series_of_the_treatment_itself_fails_in_words(treatment):
    chance = Random(4)
    own = [path.read_bytes() for series in treatment.series_folders[1:] for path in sorted(series.rglob("*.dcm"))]
    with warnings.catch_warnings():
        # Numbers at the edge of floating point: what is computed of them may overflow, but not stop.
        warnings.simplefilter("ignore", RuntimeWarning)
        for _ in range(2):
            found = results(treatment, [mutated(chance.choice(own), chance) for _ in range(12)])
            assert all(result.error is None or result.error.endswith(".") for result in found)
