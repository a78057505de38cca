"""What decoding, assembly and admission make of nearly valid files: a result, a reason, a status; no exception."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.fuzz.laws import ZONE, admission_answers, decoding_tells_what_it_found, images_can_be_assembled
from benchmarks.fuzz.mutate import mutated
from benchmarks.fuzz.seeds import PATIENT_ID, seeds
from config.plan import PatientPlan
from dicom_listener.admission import Admission
from dicom_listener.decode import decode
from dicom_listener.record import Record, quarantine_path

KINDS = sorted(seeds())
MR = [kind for kind in KINDS if kind not in ("rtstruct", "segmentation")]
BOUNDED = settings(
    derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow], print_blob=False
)
SEED = st.integers(0, 2**32 - 1)


@settings(BOUNDED, max_examples=200)
@given(kind=st.sampled_from(KINDS), seed=SEED)
def test_decoding_never_raises_and_gives_a_reason_for_nothing(kind, seed):
    decoding_tells_what_it_found(mutated(seeds()[kind], Random(seed), others=(seeds()["philips_enhanced"],)))


@settings(BOUNDED, max_examples=120)
@given(kind=st.sampled_from(MR), seed=SEED)
def test_whatever_is_decoded_can_be_assembled_in_any_order(kind, seed):
    good = seeds()[kind]
    images = decode(mutated(good, Random(seed)), time_zone=ZONE).images
    if images:
        images_can_be_assembled(images, decode(good, time_zone=ZONE).images)


@pytest.fixture(scope="module")
def admission(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / "a.holmia"
    with Record.create(path) as record:
        admission = Admission(
            record,
            lambda: Record.create(quarantine_path(path)),
            PatientPlan(id=PATIENT_ID),
            lambda: datetime(2026, 3, 4, tzinfo=UTC),
            actor="test",
        )
        yield admission, folder, record
        admission.close()


@settings(BOUNDED, max_examples=120)
@given(kind=st.sampled_from(KINDS), seed=SEED)
def test_admission_answers_with_a_status_and_nothing_sent_becomes_a_path(admission, kind, seed):
    decides, folder, _ = admission
    admission_answers(decides, mutated(seeds()[kind], Random(seed)))
    assert {path.name.split("-")[0] for path in folder.iterdir()} <= {"a.holmia", "a.quarantine.holmia"}


def test_what_admission_wrote_is_sound(admission):
    decides, _, record = admission
    admission_answers(decides, seeds()["rle"])
    assert record.verify().seq > 0
