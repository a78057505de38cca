"""The echo to the scanner: its form, checked while typing, and its steps in words."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from console.dashboard.desk.form import Check, Field, Form, Verdict, checked, number
from console.dashboard.screen.model import State, Tone
from console.readiness import Finding, Level

HOST, PORT, TITLE = "host", "port", "ae_title"
_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}")
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")

ECHO_FIELDS = (
    Field(
        key=HOST,
        label="Scanner's address",
        hint="10.1.20.31, or a name",
        tooltip="IP address or name of the scanner, from its own network settings.",
        required=True,
    ),
    Field(
        key=PORT,
        label="Scanner's port",
        hint="104",
        tooltip="TCP port on which the scanner takes DICOM associations, 1 to 65535; 104 and 11112 are usual.",
        required=True,
    ),
    Field(
        key=TITLE,
        label="Scanner's AE title",
        hint="MR1",
        tooltip="What the scanner calls itself: 1 to 16 characters, capitals matter (DICOM PS3.5, AE).",
        required=True,
    ),
)


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own, which no other machine can reach."""
    if host.strip().lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip()).is_loopback
    except ValueError:
        return False


def host_check(text: str) -> str:
    """Whether it can be an address or a name."""
    plain = text.strip()
    try:
        ipaddress.ip_address(plain)
    except ValueError:
        pass
    else:
        return ""
    if re.fullmatch(r"[0-9.]+", plain):
        return "no address: expected four numbers from 0 to 255, such as 10.1.20.31"
    if ":" in plain and "/" not in plain:
        return "expected an address or a name without port; the port has its own field"
    if len(plain) > 253 or not _HOST.fullmatch(plain):
        return "expected an address such as 10.1.20.31, or a name of letters, digits, dots and hyphens"
    return ""


def port_check(text: str) -> str:
    """Whether it is a TCP port."""
    try:
        value = number(text, low=1, high=65535)
    except ValueError:
        return "expected a whole number from 1 to 65535"
    return "" if value == int(value) else "expected a whole number from 1 to 65535"


def title_check(text: str) -> str:
    """Whether it is an AE title (PS3.5, 6.2: 16 bytes, no backslash, no control characters, not blank)."""
    plain = text.strip(" ")
    if len(plain) > 16:
        return f"expected 1 to 16 characters, not {len(plain)}"
    if "\\" in plain:
        return "expected no backslash"
    if not _AE_TITLE.fullmatch(plain):
        return "expected letters, digits and signs of ASCII, without accents"
    return ""


_CHECKS: dict[str, Check] = {HOST: host_check, PORT: port_check, TITLE: title_check}


def echo_form(texts: Mapping[str, str], own_title: str) -> Form:
    """The form of the echo with what is wrong beside each field."""
    form = checked(Form(fields=ECHO_FIELDS, texts=texts), _CHECKS)
    warned = dict(form.verdicts)
    if form.text(TITLE).strip() == own_title and not warned[TITLE].fault:
        warned[TITLE] = Verdict(warning="this is this node's own AE title")
    if is_loopback(form.text(HOST)) and not warned[HOST].fault:
        warned[HOST] = Verdict(warning="this is this machine itself")
    return replace(form, verdicts=warned)


def step_state(finding: Finding) -> State:
    """One step of an echo, as it is told."""
    good = finding.level is Level.OK
    words = f"{finding.subject}: {finding.text}"
    return State(sign="✓" if good else "✕", word=words, tone=Tone.GOOD if good else Tone.ALERT)


def echo_outcome(findings: Sequence[Finding], *, whom: str) -> State:
    """What came of an echo as a whole."""
    if findings and findings[-1].level is Level.OK and findings[-1].subject == "echo":
        return State(sign="✓", word=f"{whom} answers", tone=Tone.GOOD)
    return State(sign="✕", word=f"{whom} was not reached", tone=Tone.ALERT)
