"""The connection wizard: what to enter on the scanner, every refusal in plain words, and echoes that are real."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import treatments
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from config.settings import Settings, SiteSettings
from console.dashboard.desk.connection import connection_screen, last_caller
from console.dashboard.desk.connection_echo import HOST, PORT, TITLE, echo_form, host_check, title_check
from console.dashboard.desk.connection_refusals import refusal_words
from console.dashboard.dialogs.connection_dialog import ConnectionDialog
from console.dashboard.dialogs.tool_dialog import Services
from console.dashboard.screen.model import Tone
from console.own_addresses import is_reachable, own_addresses
from console.snapshot import Snapshot
from dicom_listener.events import Kind
from dicom_listener.listener import Listener
from dicom_listener.locks import FileLock
from dicom_listener.record import Record
from dicom_listener.statuses import REJECTIONS, TOO_MANY

SITE = SiteSettings(minimum_free_disk_mb=1.0, require_called_ae_title=True)
NOW = treatments.START + timedelta(minutes=10)
REFUSED = {"calling_ae": "MR1", "called_ae": "HOLMIA1", "address": "10.1.20.31"}
UNKNOWN = "Look at the log of the listener."
OF_TLS = (
    "The connection ended during the TLS handshake.",
    "The TLS handshake took too long.",
    "The peer showed no certificate.",
    "The peer's certificate has expired.",
    "The peer's certificate is not valid yet.",
    "The peer's certificate is not accepted: self-signed certificate.",
    "The peer does not speak TLS 1.2 or 1.3 as this node does (wrong version number).",
    "The TLS handshake failed (internal error).",
)


def shown(*events, site: SiteSettings = SITE, addresses=("10.1.20.5",), port: int | None = 11112, listening=True):
    return connection_screen(
        Snapshot(events=events),
        site,
        name="console-1",
        addresses=addresses,
        port=port,
        listening=listening,
        now=NOW,
    )


def line(screen, label: str):
    return next(one for one in screen.lines if one.label == label)


def opened(seq: int, minute: float, *, calling="MR1", address="10.1.20.31"):
    payload = {"association": f"n-{seq}", "calling_ae": calling, "address": address}
    return treatments.event(seq, minute, Kind.ASSOCIATION_OPENED, payload)


def closed(seq: int, of: int, how: str, instances: int = 0):
    payload = {"association": f"n-{of}", "how": how, "instances": instances}
    return treatments.event(seq, seq, Kind.ASSOCIATION_CLOSED, payload)


# -- what the scanner's form asks for ------------------------------------------------------------------------------


def test_the_scanner_s_form_gets_address_port_and_title_of_this_node():
    screen = shown()
    values = {one.label: one.value for one in screen.lines}
    assert values["IP address"] == "10.1.20.5"
    assert values["Host name"] == "console-1"
    assert values["Port"] == "11112"
    assert values["AE title"] == SITE.ae_title
    assert screen.listening.tone is Tone.GOOD


def test_port_and_title_are_those_of_the_listener_that_runs_not_of_the_settings():
    started = treatments.event(1, 0, Kind.LISTENER_STARTED, {"ae_title": "OTHER", "port": 4242})
    screen = shown(started, port=None)
    assert (line(screen, "Port").value, line(screen, "AE title").value) == ("4242", "OTHER")
    assert str(SITE.port) in line(screen, "Port").note


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_a_listener_that_only_this_machine_can_reach_is_said_with_the_setting_to_change(host):
    screen = shown(site=replace_site(host=host))
    assert screen.listening.tone is Tone.CAUTION
    assert "site.host = 0.0.0.0" in line(screen, "IP address").note


def replace_site(**changes) -> SiteSettings:
    return SITE.model_copy(update=changes)


def test_a_listener_bound_to_one_address_names_that_one_only():
    assert line(shown(site=replace_site(host="10.9.9.9")), "IP address").value == "10.9.9.9"


def test_a_machine_without_a_network_and_a_listener_that_is_down_are_said():
    assert line(shown(addresses=()), "IP address").tone is Tone.ALERT
    down = shown(listening=False)
    assert down.listening.tone is Tone.ALERT
    assert "not running" in down.waiting


def test_own_addresses_are_those_that_others_can_reach():
    assert all(is_reachable(address) for address in own_addresses())
    assert not any(is_reachable(text) for text in ("127.0.0.1", "::1", "fe80::1", "169.254.3.4", "0.0.0.0", "none"))


# -- who has called ------------------------------------------------------------------------------------------------


def test_an_echo_that_reached_us_names_who_from_where_when_and_what():
    (heard,) = shown(opened(1, 5), closed(2, 1, "released")).heard
    assert heard.state.tone is Tone.GOOD
    for words in ("10:05:00", "05:00 ago", "MR1", "10.1.20.31", "as in an echo"):
        assert words in heard.words


def test_the_latest_association_stands_first_and_a_lost_one_says_what_was_stored():
    heard = shown(opened(1, 5), closed(2, 1, "connection_lost", 212), opened(3, 6)).heard
    assert [one.state.word for one in heard] == ["OPEN", "BROKE OFF"]
    assert "212 objects stored" in heard[1].words


def test_a_wrong_called_title_says_what_to_enter_on_the_scanner():
    refused = treatments.event(1, 5, Kind.ASSOCIATION_REFUSED, REFUSED | {"why": REJECTIONS[2].why})
    (heard,) = shown(refused).heard
    assert "calls us 'HOLMIA1'" in heard.words
    assert heard.advice.startswith("On the scanner enter 'HOLMIA' as the AE title of this destination")
    assert heard.advice.endswith("or set site.ae_title = 'HOLMIA1'.")


@pytest.mark.parametrize(
    "why", [*(r.why for r in REJECTIONS), replace(TOO_MANY, why="There are 8 associations already.").why, *OF_TLS]
)
def test_every_refusal_there_is_says_what_to_change(why):
    words, advice = refusal_words(why, REFUSED, SITE, SITE.ae_title)
    assert words
    assert advice != UNKNOWN


def test_a_refusal_that_is_not_known_is_told_as_it_was_recorded():
    assert refusal_words("The moon is full.", REFUSED, SITE, "HOLMIA") == ("The moon is full", UNKNOWN)


def test_who_called_last_is_suggested_for_our_echo_and_this_machine_never_is():
    snapshot = Snapshot(events=(opened(1, 5), opened(2, 6, calling="HOLMIA", address="127.0.0.1")))
    assert last_caller(snapshot) == ("10.1.20.31", "MR1")


# -- the form of our echo ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        (HOST, "10.1.20", "four numbers"),
        (HOST, "10.1.20.311", "four numbers"),
        (HOST, "mr 1", "letters, digits"),
        (HOST, "mr1:104", "its own field"),
        (HOST, "", "needed"),
        (PORT, "0", "from 1 to 65535"),
        (PORT, "65536", "from 1 to 65535"),
        (PORT, "104.5", "whole number"),
        (PORT, "dicom", "whole number"),
        (TITLE, "SEVENTEEN_LETTERS", "not 17"),
        (TITLE, "MR\\1", "no backslash"),
        (TITLE, "MÜNCHEN", "without accents"),
        (TITLE, "   ", "needed"),
    ],
)
def test_bad_input_is_refused_beside_its_field(key, text, words):
    good = {HOST: "10.1.20.31", PORT: "104", TITLE: "MR1"}
    form = echo_form({**good, key: text}, "HOLMIA")
    assert words in form.verdicts[key].fault
    assert not form.ready
    assert [other for other, verdict in form.verdicts.items() if verdict.fault] == [key]


def test_good_input_is_taken_and_what_is_odd_is_only_warned_of():
    form = echo_form({HOST: "localhost", PORT: "104", TITLE: "HOLMIA"}, "HOLMIA")
    assert form.ready
    assert form.verdicts[HOST].warning
    assert form.verdicts[TITLE].warning
    for host in ("10.1.20.31", "::1", "mr1", "mr-1.hospital.nl"):
        assert host_check(host) == ""
    assert title_check("A 16-LETTER AE T") == ""


# -- the dialog ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A listener on loopback that takes only its own title."""
    path = tmp_path_factory.mktemp("node") / "a.holmia"
    site = replace_site(host="127.0.0.1", port=0)
    with FileLock.acquire(path, "listener"), Record.create(path) as record:
        listener = Listener(record, lambda: record, site, None, lambda: datetime.now(UTC))
        yield path, site, listener.start()
        listener.stop()


@pytest.fixture
def dialog(qtbot, node):
    path, site, port = node
    parent = QWidget()
    parent.resize(1600, 1000)
    qtbot.addWidget(parent)
    settings = Settings().model_copy(update={"site": site})
    made = ConnectionDialog(parent, Services(operate=lambda _: "", settings=settings, record=path, port=port))
    made.receive(Snapshot(), NOW)
    made.show()
    yield made
    made.close()
    assert made._echoing.wait(10)
    assert made._looking.wait(10)


def finish(qtbot, dialog: ConnectionDialog) -> list[str]:
    qtbot.waitUntil(lambda: not dialog._echoing.busy, timeout=20_000)
    return [label.text() for label in dialog._step_labels if label.text()]


@pytest.mark.network
def test_an_echo_to_ourselves_goes_step_by_step_and_appears_as_heard_in_the_file(qtbot, dialog, node):
    QTest.mouseClick(dialog.ourselves, Qt.MouseButton.LeftButton)
    assert not dialog.ourselves.isEnabled()
    steps = finish(qtbot, dialog)
    assert [step.split(":")[0] for step in steps] == ["✓ name", "✓ connection", "✓ association", "✓ echo"]
    assert "answers" in dialog.outcome.text()
    with Record.open(node[0], read_only=True) as record:
        dialog.receive(Snapshot(events=tuple(record.events())), None)
    assert dialog.heard[0][0].text().startswith(("✓ REACHED US", "● OPEN"))


@pytest.mark.network
def test_a_refused_echo_is_told_here_and_there_with_what_to_change(qtbot, dialog, node):
    for key, text in ((HOST, "127.0.0.1"), (PORT, str(node[2])), (TITLE, "HOLMIA1")):
        editor = dialog.form.editors[key]
        editor.setFocus()
        editor.selectAll()
        QTest.keyClicks(editor, text)
    QTest.keyClick(dialog.form.editors[TITLE], Qt.Key.Key_Return)
    steps = finish(qtbot, dialog)
    assert steps[-1].startswith("✕ association")
    assert "it is not called HOLMIA1" in steps[-1]
    assert "was not reached" in dialog.outcome.text()
    with Record.open(node[0], read_only=True) as record:
        dialog.receive(Snapshot(events=tuple(record.events())), None)
    assert dialog.heard[0][0].text().startswith("✕ REFUSED")
    assert "On the scanner enter 'HOLMIA'" in dialog.heard[0][1].text()


def test_what_is_typed_wrong_is_told_beside_its_field_and_enter_does_nothing(qtbot, dialog):
    QTest.keyClicks(dialog.form.editors[PORT], "70000")
    assert "from 1 to 65535" in dialog.form.verdicts[PORT].text()
    assert not dialog.go.isEnabled()
    QTest.keyClick(dialog.form.editors[PORT], Qt.Key.Key_Return)
    assert not dialog._echoing.busy
    assert dialog.isVisible()


def test_a_line_is_copied_as_it_stands(dialog):
    QTest.mouseClick(dialog.copies["AE title"], Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == SITE.ae_title
    assert "copied" in dialog.outcome.text()


def test_closing_leaves_no_thread_and_hears_nothing_more(qtbot, dialog):
    dialog.echo_to_ourselves()
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()
    assert dialog._echoing.wait(10)
    QTest.qWait(20)
    assert dialog._findings == []
