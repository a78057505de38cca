"""De-identification of datasets, documents and texts: no identifier survives, references, intervals and numbers do."""

from __future__ import annotations

import copy
import gzip
import json
import shutil
import subprocess
import warnings
from datetime import UTC, date, datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import treated as by_hand
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from leaks import leaks_in
from pydicom import config, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    EncapsulatedPDFStorage,
    ImplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from console.outputs.deidentification import Deidentifier, KnownIdentifiers, NotDeidentifiableError
from console.outputs.deidentification_profile import SAFE_PRIVATE
from console.outputs.deidentified_treatment import part10, part10_deidentified
from console.outputs.results import results_document
from dicom_listener import decode_classic, decode_enhanced, image_kind, scaling
from dicom_listener.decode import decode
from dicom_listener.events import Event, Kind

KEY = bytes(range(32))
PATIENT = ("EM1-0047", "Jansen", "Wilhelmina", "19570512", "1957-05-12", "12.05.1957")
OTHERS = ("ACC-77310", "Acker", "Utrecht MR 3", "SN-458812", "10.11.12.13", "UMCMR3")
UIDS = ("1.2.826.0.1.3680043.8.498.2", "1.2.826.0.1.3680043.8.498.3", "1.2.826.0.1.3680043.8.498.3.1")
IDENTIFIERS = (*PATIENT, *OTHERS, *UIDS)
DAY = date(2026, 3, 4)


def known() -> KnownIdentifiers:
    return KnownIdentifiers(
        patient_ids={"EM1-0047"},
        patient_names={"Jansen^Wilhelmina^van der"},
        birth_dates={date(1957, 5, 12)},
        people={"Acker^A."},
        identifiers={"ACC-77310", "Utrecht MR 3", "SN-458812", "1"},
        operators={"Dr. A. Acker": None, "nurse": None},
        peers={"UMCMR3": None, "10.11.12.13": None},
        uids=set(UIDS),
        event_days={DAY},
        days={DAY},
        time_zones={"Europe/Amsterdam"},
        treatment_name="jansen 2026-03-04",
    )


@pytest.fixture(scope="module")
def deidentifier() -> Deidentifier:
    return Deidentifier(KEY, known())


@pytest.fixture(scope="module")
def shift(deidentifier) -> timedelta:
    return DAY - deidentifier.clean.day(DAY)


@cache
def _header() -> Dataset:
    return by_hand.headers(by_hand.grid(oblique=True))[0]


def image() -> Dataset:
    """A classic MR image of the patient, with identifiers at every place where vendors put them."""
    ds = copy.deepcopy(_header())
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = "Jansen^Wilhelmina^van der", "EM1-0047", "19570512"
    ds.AccessionNumber, ds.ReferringPhysicianName, ds.StationName = "ACC-77310", "Acker^A.", "UMCMR3"
    ds.InstitutionName, ds.DeviceSerialNumber = "Utrecht MR 3", "SN-458812"
    ds.SeriesDescription = "T2* mGRE Jansen Wilhelmina 2026-03-04"
    ds.ImageComments = "born 12.05.1957, seen by Acker"
    ds.OtherPatientIDsSequence = Sequence([Dataset()])
    ds.OtherPatientIDsSequence[0].PatientID = "EM1-0047"
    ds.ReferencedImageSequence = Sequence([Dataset()])
    ds.ReferencedImageSequence[0].ReferencedSOPClassUID = MRImageStorage
    ds.ReferencedImageSequence[0].ReferencedSOPInstanceUID = UIDS[2]
    ds.add_new(0x60000010, "US", 8)
    ds.add_new(0x60003000, "OW", b"Jansen  ")
    ds.add_new(0x60004000, "LT", "Jansen")
    ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", b"..Jansen^Wilhelmina..")
    ds.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x2F, "SS", 2)
    ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FL", 0.0123)
    inner = Dataset()
    inner.EchoTime, inner.PatientName = "1.2", "Jansen"
    inner.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0F, "LO", "Jansen")
    ds.private_block(0x2005, "Philips MR Imaging DD 005", create=True).add_new(0x0F, "SQ", Sequence([inner]))
    ds.add_new(0x7FE00010, "OW", np.arange(by_hand.SHAPE[1] * by_hand.SHAPE[2], dtype="<u2").tobytes())
    return ds


def test_no_identifier_is_left_in_an_image(deidentifier, tmp_path):
    ds = image()
    ds.preamble = b"Jansen Wilhelmina".ljust(128)
    before = part10(ds)
    made = part10(deidentifier.dataset(ds))
    (tmp_path / "identified.dcm").write_bytes(before)
    (tmp_path / "made.dcm").write_bytes(made)
    hidden = {"12.05.1957", "10.11.12.13", "1957-05-12"}  # not in this image, or only as a part of a text
    assert {i for i in IDENTIFIERS if leaks_in(tmp_path / "identified.dcm", [i])} >= set(IDENTIFIERS) - hidden
    assert leaks_in(tmp_path / "made.dcm", [*IDENTIFIERS, "20260304", "2026-03-04"]) == []
    assert part10(ds) == before, "the given dataset was changed"


def test_pixels_geometry_and_scaling_are_as_they_were(deidentifier):
    ds, made = image(), deidentifier.dataset(image())
    same = (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "EchoTime",
        "Rows",
        "PixelData",
        "ImageType",
    )
    assert [made[key].value for key in same] == [ds[key].value for key in same]
    assert scaling.philips_scale_slope(made) == pytest.approx(0.0123)
    assert image_kind.classic_kind(made) is image_kind.classic_kind(ds)
    group = scaling.private_value(made, 0x2005, "Philips MR Imaging DD 005", 0x0F)
    assert (group[0].EchoTime, str(group[0].PatientName)) == (1.2, deidentifier.name)


def test_the_dataset_says_how_it_was_de_identified(deidentifier):
    made = deidentifier.dataset(image())
    assert (made.PatientID, str(made.PatientName)) == (deidentifier.name, deidentifier.name)
    assert (made.PatientBirthDate, made.PatientSex) == ("", "")
    assert "PatientWeight" not in made
    assert (made.PatientIdentityRemoved, made.LongitudinalTemporalInformationModified) == ("YES", "MODIFIED")
    codes = [item.CodeValue for item in made.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113105", "113107", "113111"]
    assert made.BurnedInAnnotation == "NO"
    assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID != image().SOPInstanceUID


def test_the_private_attributes_that_stay_are_those_that_are_read():
    philips = decode_classic._PHILIPS_IMAGING_CREATOR
    read = {
        (0x0043, image_kind._GE_CREATOR, image_kind._GE_TYPE_OFFSET),
        (0x2005, scaling.PHILIPS_CREATOR, scaling._SCALE_SLOPE_OFFSET),
        (0x2005, decode_enhanced._PHILIPS_GROUP_CREATOR, decode_enhanced._PHILIPS_GROUP_OFFSET),
        *((0x2001, philips, o) for o in (decode_classic._ECHOES_OFFSET, decode_classic._SLICES_OFFSET)),
        (0x2001, philips, decode_classic._STACKS_OFFSET),
    }
    assert set(SAFE_PRIVATE) == read


@pytest.mark.parametrize(
    "change",
    [
        {"SOPClassUID": SecondaryCaptureImageStorage},
        {"SOPClassUID": EncapsulatedPDFStorage},
        {"SOPClassUID": "1.3.12.2.1107.5.9.1"},
        {"BurnedInAnnotation": "YES"},
        {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]},
        {"SamplesPerPixel": 3},
    ],
    ids=lambda change: "-".join(f"{v}" for v in change.values()),
)
def test_pictures_of_text_do_not_leave(deidentifier, change):
    ds = image()
    for key, value in change.items():
        setattr(ds, key, value)
    with pytest.raises(NotDeidentifiableError, match="Instance 1 of series 3 is not exported de-identified"):
        deidentifier.dataset(ds)


def test_equal_uids_stay_equal_and_kinds_stay(deidentifier):
    first, second = deidentifier.dataset(image()), deidentifier.dataset(image())
    assert first.StudyInstanceUID == second.StudyInstanceUID != UIDS[0]
    assert first.SOPClassUID == MRImageStorage
    assert first.ReferencedImageSequence[0].ReferencedSOPClassUID == MRImageStorage
    mapped = deidentifier.document({"series_key": f"{UIDS[2]}:1:ab12cd", "text": f"see {UIDS[2]}."})
    own = first.ReferencedImageSequence[0].ReferencedSOPInstanceUID
    assert mapped == {"series_key": f"{own}:1:ab12cd", "text": f"see {own}."}


def test_another_key_gives_other_pseudonyms_uids_and_dates(deidentifier):
    other = Deidentifier(KEY[::-1], known())
    assert other.name != deidentifier.name
    assert other.clean.uid(UIDS[0]) != deidentifier.clean.uid(UIDS[0])
    assert other.clean.day(DAY) != deidentifier.clean.day(DAY)


# -- dates -------------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None, derandomize=True)
@given(first=st.dates(date(1990, 1, 1), date(2090, 1, 1)), second=st.dates(date(1990, 1, 1), date(2090, 1, 1)))
def test_intervals_between_any_two_dates_are_kept(first, second):
    own = _DEIDENTIFIER
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = MRImageStorage, UIDS[2]
    ds.StudyDate, ds.AcquisitionDateTime = f"{first:%Y%m%d}", f"{second:%Y%m%d}101500.123+0100"
    made = own.dataset(ds)
    dates = [datetime.strptime(str(text)[:8], "%Y%m%d").date() for text in (made.StudyDate, made.AcquisitionDateTime)]
    assert dates[1] - dates[0] == second - first
    assert str(made.AcquisitionDateTime)[8:] == "101500.123+0100"
    said = own.document({"time": f"{first}T10:08:00+01:00", "text": f"from {first} to {second:%Y%m%d}"})
    moved = own.clean.day(first)
    assert said == {"time": f"{moved}T10:08:00+01:00", "text": f"from {moved} to {own.clean.day(second):%Y%m%d}"}
    assert own.utc(datetime(first.year, first.month, first.day, 23, 59, tzinfo=UTC)).date() == moved


_DEIDENTIFIER = Deidentifier(KEY, known())


@pytest.mark.parametrize("zone", ["Europe/Amsterdam", "America/New_York", "Australia/Sydney", "Asia/Kolkata", "UTC"])
@pytest.mark.parametrize("day", [date(2026, 3, 4), date(2026, 7, 1), date(2026, 3, 29), date(2026, 10, 25)], ids=str)
def test_local_times_stay_beside_times_with_an_offset(zone, day):
    """A DICOM time without an offset and an injection's with one must stay as far apart, summer time or not."""
    own = known()
    own.time_zones, own.event_days, own.days = {zone}, {day}, {day, day - timedelta(days=20)}
    made = Deidentifier(KEY, own)
    for one in own.days:
        for hour in (0, 12, 23):
            local = datetime(one.year, one.month, one.day, hour, tzinfo=ZoneInfo(zone))
            assert made.utc(local).utcoffset() == local.utcoffset()


@pytest.mark.parametrize(
    "text", ["4 March 2026", "4. März 2026", "Mar 4, 2026", "04/03/2026", "4.3.2026", "2026/03/04"]
)
def test_dates_in_words_are_removed(deidentifier, text):
    assert deidentifier.text(f"scan of {text}, liver") == "scan of (date), liver"


# -- texts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["Jansen", "JANSEN", "jansen's", "Jánsen", "Wilhelmina_Jansen", "van der Jansen", "JansenWilhelmina", "EM1 0047",
     "em1_0047", "Acker", "Utrecht  MR-3", "Tumour Jansen", "1957-05-12", "19570512", "UMCMR3", "10.11.12.13"],
)  # fmt: skip
def test_identifiers_are_found_in_any_writing(deidentifier, text):
    made = deidentifier.text(f"seen: {text} today")
    assert made.startswith("seen: ")
    assert made.endswith(" today")
    for part in ("jansen", "jánsen", "wilhelmina", "0047", "acker", "utrecht", "1957", "umcmr", "10.11"):
        assert part not in made.lower()


@pytest.mark.parametrize(
    "text",
    ["Liver and tumours 1 to 3 of 10", "The residual has not been measured (1 MBq at 1.5 mm)", "R2* 123.45 1/s, 2026",
     "Van der Waals", "version 5.6.1.0", "ab" * 32, "0.1957051200", "a nurse acted", "Healthy liver RHA"],
)  # fmt: skip
def test_harmless_text_is_not_damaged(deidentifier, text):
    assert deidentifier.text(text) == text


def test_half_of_a_double_name_is_found_and_a_uid_in_the_name_of_a_file():
    own = Deidentifier(KEY, KnownIdentifiers(patient_names={"Smith-Jones^Anne"}, uids=set(UIDS)))
    assert "Jones" not in own.text("liver of Mrs Jones")
    assert "smith" not in own.text("smith-jones LIVER").lower()
    assert own.text(f"img_{UIDS[0]}_2.dcm") == f"img_{own.clean.uid(UIDS[0])}_2.dcm"


def test_a_short_name_is_a_word_of_its_own():
    own = Deidentifier(KEY, KnownIdentifiers(patient_names={"Li^An"}, patient_ids={"1"}))
    assert own.text("Liver of Li, in 1 li") == "Liver of X2, in 1 li"
    assert own.text("Li An") == own.name
    assert own.text("LI_AN LIVER") == "X1 LIVER"
    assert own.text("An instance of a series in 1 liver") == "An instance of a series in 1 liver"


def test_different_structures_keep_different_names(deidentifier):
    names = ["Jansen liver", "Wilhelmina liver", "EM1-0047 liver", "Liver", "Acker liver"]
    assert len({deidentifier.text(name) for name in names}) == len(names)


# -- documents ---------------------------------------------------------------------------------------------------------


def test_a_document_keeps_its_numbers_and_its_vocabulary(deidentifier, oblique):
    before = results_document(oblique.snapshot)
    before["treatment"]["patient_id"] = "EM1-0047"
    made = deidentifier.document(before)
    assert _numbers(made) == _numbers(before)
    assert made["treatment"]["patient_id"] == deidentifier.name
    for key in ("software", "research_use", "schema"):
        assert made[key] == before[key]
    for fraction, own in zip(made["fractions"], before["fractions"], strict=True):
        assert fraction["status"] == own["status"]
        assert list(fraction["volumes"]) == list(own["volumes"])
        assert fraction["volumes"]["Liver"] == own["volumes"]["Liver"]
        assert fraction["series_instance_uid"].startswith("2.25.")
    assert "2026-03-04" not in json.dumps(made)


def test_fields_that_are_identifiers_are_replaced_whatever_they_say(deidentifier):
    said = {
        "patient": {"id": "1", "name": "Low", "birth_date": "1957-05-12", "issuer": "UMC"},
        "patient_id": "1", "calling_ae": "UMCMR3", "address": "10.11.12.13", "called_ae": "HOLMIA",
        "name": "Dr. A. Acker", "acknowledged_by": "nurse", "priority": "low", "status": "ok",
        "volumes": {"Jansen": {"dose_mean_Gy": 1}}, "label": "stasis", "fraction": 1,
    }  # fmt: skip
    made = deidentifier.document(said)
    assert made["patient"] == {"id": deidentifier.name}
    assert (made["patient_id"], made["calling_ae"], made["address"]) == (deidentifier.name, "Peer 1", "Peer 2")
    assert (made["name"], made["acknowledged_by"]) == ("Operator 1", "Operator 2")
    assert (made["priority"], made["status"], made["label"], made["fraction"]) == ("low", "ok", "stasis", 1)
    assert "Jansen" not in made["volumes"]
    assert list(made["volumes"].values()) == [{"dose_mean_Gy": 1}]


def test_only_who_speaks_is_an_operator():
    """A result names its terms, a plan its vials; none of them is a person."""
    own = KnownIdentifiers()
    payload = {"name": "K. Verhagen", "plan": {"vials": [{"name": "Vial A"}], "patient": {"id": "1", "name": "A^B"}}}
    event = Event(seq=1, utc=datetime(2026, 3, 4, tzinfo=UTC), actor="listener", kind=Kind.PLAN_REVISED,
                  payload={**payload, "budget": [{"name": "relaxivity"}], "by": "console"}, object_sha256=None,
                  previous_hash="", hash="")  # fmt: skip
    own.add_event(event)
    assert list(own.operators) == ["K. Verhagen"]
    assert own.patient_names == {"A^B"}


def test_a_hospital_with_the_makers_name_does_not_change_the_maker():
    ds = image()
    ds.Manufacturer = ds.InstitutionName = "Philips Medical Systems"
    own = KnownIdentifiers(identifiers={"Philips Medical Systems"})
    assert Deidentifier(KEY, own).dataset(ds).Manufacturer == "Philips Medical Systems"


def test_what_an_operator_wrote_of_a_revision_does_not_leave(deidentifier):
    revision = {
        "at": "2026-03-04T10:00:00+01:00",
        "by": "nurse",
        "reason": "he asked for it",
        "differences": ["x: 1 → 2"],
    }
    made = deidentifier.document({"record": {"revisions": [revision]}, "reason": "complete"})
    (found,) = made["record"]["revisions"]
    assert (found["by"], found["reason"], found["differences"]) == ("Operator 2", "", ["x: 1 → 2"])
    assert made["reason"] == "complete"


def _numbers(value: object) -> list[object]:
    if isinstance(value, dict):
        return [n for own in value.values() for n in _numbers(own)]
    if isinstance(value, list):
        return [n for own in value for n in _numbers(own)]
    return [value] if not isinstance(value, str) else []


_JSON = st.recursive(
    st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.none(), st.sampled_from([*PATIENT, *OTHERS]),
              st.builds("{0} of {1}".format, st.sampled_from(["liver", "dose"]), st.sampled_from([*PATIENT, *OTHERS]))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["text", "name", "volumes", "patient_name", "address", "Jansen"]), inner),
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=30, deadline=None, derandomize=True)
@given(document=st.dictionaries(st.sampled_from(["fractions", "volumes", "record", "text"]), _JSON))
def test_no_identifier_survives_in_any_document_and_every_number_does(document):
    made = _DEIDENTIFIER.document(document)
    text = json.dumps(made, ensure_ascii=False).lower()
    assert [own for own in (*PATIENT, *OTHERS) if own.lower() in text] == []
    assert _numbers(made) == _numbers(document)


# -- any dataset -------------------------------------------------------------------------------------------------------

_PIECES = st.sampled_from(
    ["Jansen", "Jansen^Wilhelmina", "EM1-0047", "ACC-77310", "SN-458812", "2026-03-04", "20260304"]
)
_WORDS = st.builds(
    lambda a, b, c: f"{a} {b} {c}".strip(), st.sampled_from(["", "liver", "T2*"]), _PIECES, st.sampled_from(["", "1"])
)
_TEXT_TAGS = [
    ("SeriesDescription", "LO"), ("PatientComments", "LT"), ("ImageComments", "LT"), ("ROIName", "LO"),
    ("StudyDescription", "LO"), ("ManufacturerModelName", "LO"), ("SequenceName", "SH"), ("CodeMeaning", "LO"),
    ("ContentQualification", "CS"), ("PatientName", "PN"), ("OperatorsName", "PN"), ("DerivationDescription", "ST"),
    ("RetrieveAETitle", "AE"), ("RetrieveURL", "UR"), ("TextValue", "UT"), ("ProtocolName", "LO"),
    ("AccessionNumber", "SH"), ("StudyID", "SH"), ("PersonName", "PN"), ("ContainerIdentifier", "LO"),
    ("StrainDescription", "UC"),
]  # fmt: skip
_BLOB_TAGS = [0x00091001, 0x00431002, 0x20051010, 0x60003000, 0x50003000, 0x00420011, 0x00282000]
_SEQUENCES = ["ReferencedImageSequence", "RequestAttributesSequence", "ContentSequence", "ReferencedStudySequence",
              "SharedFunctionalGroupsSequence", "PersonIdentificationCodeSequence"]  # fmt: skip


def _built(texts, uids, blobs, nested) -> Dataset:
    ds = Dataset()
    for (keyword, vr), text in texts:
        tag = tag_for_keyword(keyword)
        ds[tag] = DataElement(tag, vr, text[:16] if vr in ("SH", "CS", "AE") else text, validation_mode=config.IGNORE)
    for keyword, uid in uids:
        ds.add_new(keyword, "UI", uid)
    for tag, vr, text in blobs:
        if tag >> 16 & 1:
            ds.private_block(tag >> 16, "JANSEN", create=True).add_new(
                tag & 0xFF, vr, text.encode() if vr != "LO" else text
            )
        else:
            ds.add_new(tag, vr, text.encode() + b" " * (len(text.encode()) % 2))
    for keyword, item in nested:
        ds.add_new(keyword, "SQ", Sequence([item]))
    return ds


def _datasets(nested):
    return st.builds(
        _built,
        st.lists(st.tuples(st.sampled_from(_TEXT_TAGS), _WORDS), max_size=5),
        st.lists(
            st.tuples(st.sampled_from(["StudyInstanceUID", "ReferencedSOPInstanceUID", "ReferencedSOPClassUID", "UID"]),
                      st.sampled_from(UIDS)), max_size=3),
        st.lists(
            st.tuples(st.sampled_from(_BLOB_TAGS), st.sampled_from(["OB", "UN", "LO"]), _WORDS)
            .filter(lambda blob: blob[0] & 0x10000 or blob[1] != "LO"), max_size=3),
        nested,
    )  # fmt: skip


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate],
)
@given(
    ds=st.recursive(
        _datasets(st.just([])),
        lambda inner: _datasets(st.lists(st.tuples(st.sampled_from(_SEQUENCES), inner), max_size=2)),
        max_leaves=6,
    ),
    charset=st.sampled_from([None, "ISO_IR 100", "ISO_IR 192"]),
)
def test_no_identifier_survives_in_any_dataset(ds, charset, tmp_path_factory):
    ds.SOPClassUID, ds.SOPInstanceUID = MRImageStorage, UIDS[2]
    if charset:
        ds.SpecificCharacterSet = charset
    made = part10(_DEIDENTIFIER.dataset(ds))
    path = tmp_path_factory.getbasetemp() / "any.dcm"
    path.write_bytes(made)
    wanted = [*PATIENT, *OTHERS, *UIDS[1:], f"{UIDS[0]}\\", "20260304", "2026-03-04"]
    assert leaks_in(path, wanted) == []
    again = dcmread(path)
    assert again.StudyInstanceUID.startswith("2.25.") if "StudyInstanceUID" in again else True


# -- what others say ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dicom3tools is not installed (scripts/setup.sh installs it)"
)
def test_dciodvfy_finds_no_new_error(deidentifier, tmp_path):
    ds = copy.deepcopy(_header())
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions, ds.MRAcquisitionType = "GR", "SP", "", "2D"
    ds.RepetitionTime, ds.EchoTrainLength, ds.Laterality = "500", "3", ""
    ds.add_new(0x7FE00010, "OW", bytes(2 * by_hand.SHAPE[1] * by_hand.SHAPE[2]))
    errors = []
    for name, one in (("before", ds), ("after", deidentifier.dataset(ds))):
        (tmp_path / name).write_bytes(part10(one))
        done = subprocess.run(["dciodvfy", str(tmp_path / name)], capture_output=True, text=True, check=False)
        errors.append({line for line in done.stderr.splitlines() if line.startswith("Error")})
    assert errors[1] <= errors[0]


@pytest.mark.parametrize(
    "pattern",
    ["siemens_gre_6echo/001_000001_000001.dcm", "siemens_gre_6echo/001_000002_000001.dcm",
     "siemens_xa30_enhanced_2echo/0002*.dcm", "siemens_spin_echo/TE_20_SlcPos_-2.*.dcm",
     "philips_enhanced_2echo/IM_0014"],
)  # fmt: skip
def test_real_scanner_files_keep_their_signal_and_lose_their_patient(real_data, tmp_path, pattern):
    (path,) = real_data.glob(pattern)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = _with_few_frames(dcmread(path))
        data = part10(ds)
        own = KnownIdentifiers(treatment_name="case")
        own.add_header(ds)
        identifying = _identifying_values(ds)
        made = part10_deidentified(data, Deidentifier(KEY, own))
    (tmp_path / "made.dcm").write_bytes(made)
    assert len(identifying) >= 4
    assert leaks_in(tmp_path / "made.dcm", identifying) == []
    zone = ZoneInfo("Europe/Amsterdam")
    before, after = decode(data, time_zone=zone), decode(made, time_zone=zone)
    assert len(after.images) == len(before.images) > 0
    for one, other in zip(before.images, after.images, strict=True):
        assert np.array_equal(one.signal, other.signal)
        for key in _DECODED:
            assert getattr(one, key) == getattr(other, key), key


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, RLELossless], ids=lambda syntax: syntax.name)
def test_the_transfer_syntax_stays_and_so_does_the_signal(real_data, deidentifier, syntax):
    ds = dcmread(real_data / "siemens_gre_6echo" / "001_000001_000001.dcm")
    if syntax.is_compressed:
        ds.compress(syntax)
    ds.file_meta.TransferSyntaxUID = syntax
    data = part10(ds)
    made = part10_deidentified(data, deidentifier)
    assert dcmread(BytesIO(made)).file_meta.TransferSyntaxUID == syntax
    (one,), (other,) = (decode(d, time_zone=ZoneInfo("UTC")).images for d in (data, made))
    assert np.array_equal(one.signal, other.signal)


_DECODED = ("kind", "echo_time_s", "position_mm", "row_direction", "pixel_spacing_mm", "sequence", "field_strength_t",
            "acquisition_number", "declared_echoes", "declared_slices", "processing", "display_slope")  # fmt: skip


def _with_few_frames(ds: Dataset) -> Dataset:
    """An enhanced object with its first and last frames only: the decoding of all costs seconds."""
    if "PerFrameFunctionalGroupsSequence" in ds:
        frames, size = list(ds.PerFrameFunctionalGroupsSequence), ds.Rows * ds.Columns * 2
        pixels = [ds.PixelData[n * size : (n + 1) * size] for n in range(len(frames))]
        ds.PerFrameFunctionalGroupsSequence = Sequence(frames[:2] + frames[-2:])
        ds.NumberOfFrames, ds.PixelData = 4, b"".join(pixels[:2] + pixels[-2:])
    return ds


def _identifying_values(ds: Dataset) -> list[str]:
    """Values of the attributes that identify, at any depth, that a search can tell from other text."""
    names = {"PatientName", "PatientID", "PatientBirthDate", "InstitutionName", "InstitutionAddress", "StationName",
             "DeviceSerialNumber", "PerformedProcedureStepID", "StudyInstanceUID", "SeriesInstanceUID",
             "SOPInstanceUID", "FrameOfReferenceUID", "StudyDate", "SeriesDate", "ReferringPhysicianName",
             "OperatorsName", "PerformingPhysicianName", "StudyDescription", "ReferencedSOPInstanceUID"}  # fmt: skip
    values = {str(e.value) for e in ds.iterall() if e.keyword in names and e.value}
    return sorted(value for value in values if len(value) >= 5 and value not in ("phantom", "Research"))


def test_generated_uids_are_valid(deidentifier):
    for seed in range(50):
        uid = deidentifier.clean.uid(generate_uid(entropy_srcs=[str(seed)]))
        assert len(uid) <= 64
        assert uid[:5] == "2.25."
        assert uid[5] != "0"


def test_the_scanner_of_leaks_finds_what_is_packed(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"..Jansen.."))
    (tmp_path / "b.json").write_text(json.dumps({"n": "Jänsen"}), encoding="utf-8")
    (tmp_path / "c.bin").write_bytes("EM1-0047".encode("utf-16-le"))
    (tmp_path / "Wilhelmina.txt").write_text("nothing", encoding="utf-8")
    found = leaks_in(tmp_path, ["Jansen", "Jänsen", "EM1-0047", "Wilhelmina"])
    assert {text.split(" is left in ")[0] for text in found} == {"'Wilhelmina'", "'Jansen'", "'Jänsen'", "'EM1-0047'"}
    with pytest.raises(ValueError, match="too short"):
        leaks_in(Path(tmp_path), ["Li"])
