"""The log: one line of JSON for each association and refusal, nothing of a patient, nothing a peer could forge."""

from __future__ import annotations

import io
import json
import logging
import threading
import time
import warnings

import pytest

from dicom_listener.association_log import LOGGER, configure_log
from dicom_listener.events import Kind

from .raw_peer import RawPeer, associate_rq
from .test_listener import SERIES, Node, association, instance, send

pytestmark = pytest.mark.network

NAMES = ("holmia", "dicom_listener", "console", "py.warnings")
FORGED = b'A"\n{"event":1}'


@pytest.fixture
def log(request):
    """The stream that the log is written to; everything global is put back."""
    before = {name: (logging.getLogger(name).handlers, logging.getLogger(name).propagate) for name in NAMES}
    levels = {name: logging.getLogger(name).level for name in NAMES}
    hook, stream = threading.excepthook, io.StringIO()
    show = warnings.showwarning
    configure_log(getattr(request, "param", "INFO"), stream)
    yield stream
    logging.captureWarnings(False)
    warnings.showwarning = show
    threading.excepthook = hook
    for name in NAMES:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = before[name]
        logger.setLevel(levels[name])


@pytest.fixture
def node(tmp_path, log):
    made = Node(tmp_path)
    yield made
    made.stop()


def lines(log: io.StringIO, least: int = 1) -> list[dict]:
    """Return the lines once there are so many; a peer may hear of its refusal before the log does."""
    for _ in range(500):
        if log.getvalue().count("\n") >= least:
            break
        time.sleep(0.01)
    return [json.loads(line) for line in log.getvalue().splitlines()]


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_an_association_has_one_line_with_what_became_of_its_instances(node, log):
    other = instance(1, pixels=b"\1\3" * 64)
    send(node, instance(1), instance(1), other, instance(2), instance(3, SeriesInstanceUID="../x"))
    node.wait_for(Kind.ASSOCIATION_CLOSED)
    (line,) = lines(log)
    assert line.pop("utc").endswith("+00:00")
    assert 0 < line.pop("seconds") < 60
    assert line == {
        "level": "info",
        "event": "association_closed",
        "association": "network-1-1",
        "calling_ae": "SCANNER",
        "called_ae": "HOLMIA",
        "address": "127.0.0.1",
        "tls": None,
        "how": "released",
        "stored": 2,
        "duplicates": 1,
        "quarantined": 1,
        "refused": {"0xC000": 1},
    }


def test_a_refusal_has_one_line_that_says_why(node, log):
    with association(node, called="OTHER") as made:
        assert made.is_rejected
    (line,) = lines(log)
    assert (line["event"], line["calling_ae"], line["called_ae"]) == ("association_refused", "SCANNER", "OTHER")
    assert line["why"] == "The called AE title is not this node's."


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "The peer speaks HTTP, not DICOM."),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", "The peer speaks TLS, this port does not (site.tls)."),
        (b"\x04\x00\x00\x00\x00\x04abcd", "What the peer sent is no association request."),
        (b"\x01\x00\xff\xff\xff\xf0", "The association request is declared longer than any is."),
        (b"\x01\x00", "The connection ended within the association request."),
        (b"", "The connection ended before an association was asked for."),
    ],
    ids=["http", "tls", "data", "4_GiB", "cut_off", "nothing"],
)
def test_what_is_no_dicom_has_one_line_and_no_event(node, log, sent, why):
    with RawPeer(node.port) as peer:
        peer.send(sent)
        if len(sent) < 6:
            peer.socket.shutdown(1)
        assert peer.answer() == b""
    assert [(line["event"], line["why"], line["address"]) for line in lines(log)] == [
        ("association_refused", why, "127.0.0.1")
    ]
    assert node.kinds() == ["listener_started"]


def test_a_peer_cannot_forge_a_line(node, log):
    with RawPeer(node.port) as peer:
        peer.send(associate_rq(calling=FORGED))
        assert peer.answer()[0] == 0x03
    (line,) = lines(log)
    assert line["calling_ae"] == FORGED.decode()
    assert log.getvalue().count("\n") == 1
    assert log.getvalue().isascii()


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("log", ["INFO", "DEBUG"], indirect=True)
def test_uids_are_logged_at_debug_only_and_names_never(node, log):
    send(node, instance(1), instance(2, SeriesInstanceUID="../x"))
    node.wait_for(Kind.ASSOCIATION_CLOSED)
    lines(log, 4 if LOGGER.isEnabledFor(logging.DEBUG) else 1)
    text = log.getvalue()
    for identifier in ("Secret", "EM1-004", "UMC", "19600203"):
        assert identifier not in text
    debug = [line for line in lines(log) if line["level"] == "debug"]
    if LOGGER.isEnabledFor(logging.DEBUG):
        assert [line["event"] for line in debug] == ["association_opened", "instance", "instance"]
        assert [line["sop_instance_uid"] for line in debug[1:]] == [f"{SERIES}.1", f"{SERIES}.2"]
        assert [line["status"] for line in debug[1:]] == ["0x0000", "0xC000"]
    else:
        assert debug == []
        assert SERIES not in text


def test_an_error_that_ends_a_thread_is_one_line(log, capfd):
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    assert [line["message"] for line in lines(log)] == ["A thread was ended by an error: ZeroDivisionError."]
    assert capfd.readouterr().err == ""


def test_an_exception_is_named_and_not_printed(log):
    try:
        raise ValueError("the patient's name")
    except ValueError:
        logging.getLogger("dicom_listener.somewhere").exception("It failed")
    (line,) = lines(log)
    assert (line["message"], line["error"]) == ("It failed", "ValueError")
    assert "patient" not in log.getvalue()


def test_warnings_and_other_libraries_say_nothing(log, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("Invalid value '../../etc/passwd'", UserWarning, stacklevel=1)
    logging.getLogger("pynetdicom.x").error("what the peer sent")
    assert log.getvalue() == ""
    assert "etc/passwd" not in capfd.readouterr().err


@pytest.mark.parametrize("level", ["LOUD", "debug", ""])
def test_a_level_that_is_none_is_refused(level):
    with pytest.raises(ValueError, match="expected DEBUG, INFO, WARNING or ERROR"):
        configure_log(level)
