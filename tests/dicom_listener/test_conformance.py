"""The conformance statement says what the code does: its tables are read and held against it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pynetdicom
import pytest

from config.settings import SiteSettings
from dicom_listener import (
    connections,
    decode,
    decode_classic,
    decode_enhanced,
    image_kind,
    listener,
    messages,
    scaling,
    transport,
)
from dicom_listener.services import PRIVATE_STORAGE, STORAGE, VERIFICATION, application_entity, transfer_syntaxes
from dicom_listener.statuses import REJECTIONS, STATUSES
from dicom_listener.tls import _CIPHERS

DOCS = Path(__file__).resolve().parents[2] / "docs"
SITE = SiteSettings()


@cache
def text(page: str = "conformance-statement") -> str:
    return (DOCS / f"{page}.md").read_text(encoding="utf-8")


def rows(columns: int, *, page: str = "conformance-statement") -> list[list[str]]:
    """Return the cells of every table row with so many columns, head and rule left out."""
    found = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text(page).splitlines() if line[:1] == "|"
    ]
    return [cells for cells in found if len(cells) == columns and not set("".join(cells)) <= {"-"}]


def test_every_sop_class_that_is_accepted_is_listed_and_no_other():
    listed = {uid: use for _, uid, use in rows(3) if use in ("read", "stored")}
    accepted = {str(context.abstract_syntax) for context in application_entity(SITE).supported_contexts}
    assert set(listed) == accepted - {VERIFICATION} == {*STORAGE, *PRIVATE_STORAGE}
    read = {str(uid) for uid in (*decode._DECODERS, *decode._STRUCTURES)}
    assert {uid for uid, use in listed.items() if use == "read"} == read
    assert f"Storage: {len(STORAGE)} standard SOP classes and {len(PRIVATE_STORAGE)} private ones" in text()


def test_the_transfer_syntaxes_are_those_in_this_order():
    compressed = SiteSettings(compressed_transfer_syntaxes=True)
    table = [cells for cells in rows(4) if cells[2].startswith("1.2.840.10008.1.2")]
    assert [uid for _, _, uid, _ in table] == transfer_syntaxes(compressed)
    assert [uid for _, _, uid, when in table if when == "always"] == transfer_syntaxes(SITE)
    for context in application_entity(compressed).supported_contexts:
        expected = transfer_syntaxes(SITE if context.abstract_syntax == VERIFICATION else compressed)
        assert context.transfer_syntax == expected


@pytest.mark.parametrize("page", ["conformance-statement", "scanner"])
def test_every_status_is_in_the_tables(page):
    if page == "scanner":
        assert {cells[0] for cells in rows(2, page=page) if cells[0].startswith("0x")} == {
            f"0x{status.code:04X}" for status in STATUSES
        }
        return
    table = {cells[0]: (cells[1], cells[3]) for cells in rows(5) if cells[0].startswith("0x")}
    assert table == {f"0x{s.code:04X}": (s.comment or "–", s.clause) for s in STATUSES}


def test_every_rejection_is_in_the_table_in_its_order():
    table = [cells for cells in rows(4) if cells[0] in ("1", "2") and len(cells[1]) == 1]
    assert table == [[str(r.result), str(r.source), str(r.reason), r.why] for r in REJECTIONS]


def test_the_configuration_table_has_every_key_of_the_node_with_its_default():
    table = {key.strip("`").removeprefix("site."): default for _, default, key in rows(3) if key.startswith("`site.")}
    of_tls = {"tls_certificate", "tls_key", "tls_authorities"}  # in the section on security, without defaults
    settings = SITE.to_mapping()
    assert set(table) == set(settings) - {"series_quiet_s"} - of_tls
    for key, said in table.items():
        default = settings[key]
        assert said == ("all" if default == [] else f"{default:g}" if isinstance(default, float) else toml(default))


def toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_limits_in_the_text_are_those_of_the_code():
    said = " ".join(text().split())
    settings = SITE.to_mapping()
    for sentence in (
        f"offers to take {settings['maximum_pdu_bytes']} bytes",
        f"up to {transport._LENIENT_PDU_BYTES >> 20} MiB, are taken",
        f"| {settings['maximum_associations']} (`site.maximum_associations`) |",
        f"A connection has {connections.ASSOCIATE_TIMEOUT_S:g} s for its TLS handshake",
        f"noise, more than {connections.LARGEST_REQUEST_BYTES >> 10} KiB) is closed",
        f"Up to {connections.MAXIMUM_WAITING} connections may be waiting",
        f"sends nothing for {settings['network_timeout_s']:g} s",
        f"its bytes need at {messages._SLOWEST_BYTES_PER_S // 1000} kB/s",
        f"up to {listener._REFUSALS_AT_ONCE} at once and one every {listener._REFUSAL_EVERY_S:g} s after that",
        f"more than {messages._MANY_FRAGMENTS} PDUs of less than {messages._SMALLEST_MEAN_BYTES} bytes on average",
        f"has {transport.CLOSING_TIMEOUT_S:g} s to close its connection",
        f"whose PDU takes longer than {transport._PDU_DEADLINE_S:g} s",
        f"{settings['maximum_dataset_MB']} MB (`site.maximum_dataset_MB`)",
        f"{settings['minimum_free_disk_MB']:g} MB (`site.minimum_free_disk_MB`)",
        f"| {pynetdicom.PYNETDICOM_IMPLEMENTATION_UID} |",
        f"| {pynetdicom.PYNETDICOM_IMPLEMENTATION_VERSION} |",
    ):
        assert sentence in said, sentence
    assert _CIPHERS.startswith("ECDHE+AESGCM:ECDHE+CHACHA20")  # "ECDHE with AES-GCM or ChaCha20-Poly1305 only"


def test_every_private_attribute_that_is_read_is_listed():
    creators = {
        image_kind._GE_CREATOR,
        scaling.PHILIPS_CREATOR,
        decode_enhanced._PHILIPS_GROUP_CREATOR,
        decode_classic._PHILIPS_IMAGING_CREATOR,
    }
    offsets = {
        f"xx{offset:02X}"
        for offset in (
            image_kind._GE_TYPE_OFFSET,
            scaling._SCALE_SLOPE_OFFSET,
            decode_enhanced._PHILIPS_GROUP_OFFSET,
            decode_classic._ECHOES_OFFSET,
            decode_classic._SLICES_OFFSET,
            decode_classic._STACKS_OFFSET,
        )
    }
    table = [cells for cells in rows(4) if re.match(r"\([0-9A-F]{4},xx", cells[1])]
    assert {cells[2] for cells in table} == creators
    assert {cells[1][6:10] for cells in table} == offsets
    code = "".join(path.read_text(encoding="utf-8") for path in (DOCS.parent / "dicom_listener").glob("*.py"))
    assert len(re.findall(r"^_?\w*CREATOR\w*(?:, \w+)* = \"", code, re.MULTILINE)) == len(creators)
