"""What was shown reads back as it was, so that a restarted window shows the same."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from console.outputs.recorded import recorded_fraction
from console.outputs.results import fraction_document

sys.path.insert(0, str(Path(__file__).parent / "dashboard"))

import treatments

ZONE = ZoneInfo("Europe/Amsterdam")


def _documents():
    for number in range(4):
        yield treatments.result(number)


@pytest.mark.parametrize("result", list(_documents()), ids=lambda r: r.label)
def test_a_result_reads_back_as_it_was_written(result):
    written = json.loads(json.dumps(fraction_document(result, ZONE)))
    assert fraction_document(recorded_fraction(written), ZONE) == written


def test_a_document_that_is_none_is_refused_with_a_sentence():
    for document in ({}, {"position": "RHA"}, {"status": "unheard of", "volumes": {}, "trend": {}}):
        with pytest.raises(ValueError, match=r"recorded result|is not a valid"):
            recorded_fraction(document)


def test_an_interval_of_nothing_does_not_hide_the_rest():
    written = fraction_document(treatments.result(0), ZONE)
    written["volumes"]["Tumour 1"]["d70_Gy"] = None
    back = recorded_fraction(written).volumes["Tumour 1"]
    assert set(back.intervals) == {"dose_mean_gy", "coverage"}
    assert back.dose_mean_gy == treatments.result(0).volumes["Tumour 1"].dose_mean_gy


def test_times_keep_their_instant():
    result = treatments.result(0)
    back = recorded_fraction(fraction_document(result, ZONE))
    assert back.acquired_at == result.acquired_at
    assert back.acquired_at.astimezone(UTC) < datetime(2027, 1, 1, tzinfo=UTC)
