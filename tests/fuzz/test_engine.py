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


WORDS = {
    Kind.INJECTION_RECORDED: {"position": "RHA", "fraction": 1, "started": None, "unsaid": [], "cancelled": False},
    Kind.NOTE: {"label": "contrast", "text": "", "time": None, "retracts": 3},
    Kind.VOLUME_CHOSEN: {"volume": "Liver", "object_sha256": ""},
    Kind.TREATMENT_CLOSED: {"closed": True, "name": "P. Jansen"},
    Kind.REGISTRATION_GIVEN: {"series_key": "", "reference_to_series_lps_mm": []},
    Kind.SERIES_ASSIGNED: {"series_key": "", "role": "fraction", "position": "RHA", "fraction": 1},
    Kind.CLOCK_OFFSET_CONFIRMED: {"seconds": 0.0},
    Kind.LABEL_MAP_GIVEN: {
        "name": "drawn",
        "labels": {"1": "Liver"},
        "frame_of_reference_uid": "1.2",
        "drawn": "brush",
    },
    Kind.PLAN_REVISED: {"plan": {}, "settings": {}, "time_zone": ZONE, "name": "P. Jansen", "reason": "why"},
    Kind.RESULT_SHOWN: {"position": "RHA", "fraction": 1, "result": {}, "volume_objects": {}},
    Kind.ALARM_RAISED: {"alarm": {"id": "a"}},
}
"""What an operator's console says, as far as each kind can be spoiled."""
SPOILED = (None, "", -1, 1e300, True, [], {}, [[1, 2], [3]], [[2, 0, 0, 0]] * 4, "rubbish", "9999-12-31T23:59:59-23:59")


def results(folder, intruders=(), words=()):
    """Fold a small treatment, the intruders between its series, the words behind them, and compute."""
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
    for kind, payload in words:
        event(kind, b"no label map" if kind is Kind.LABEL_MAP_GIVEN else None, **payload)
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


def test_words_of_another_version_do_not_stop_the_engine(treatment):
    chance = Random(6)
    spoiled = [(kind, {**good, key: value}) for kind, good in WORDS.items() for key in good for value in SPOILED]
    spoiled += [(kind, {key: good[key] for key in good if key != left_out}) for kind, good in WORDS.items()
                for left_out in good]  # fmt: skip
    chance.shuffle(spoiled)
    assert results(treatment, words=spoiled)
