"""Every command ends with the status that design promises, and a sentence where it is not 0: never a traceback."""

from __future__ import annotations

import shutil
import socket
import sqlite3
from pathlib import Path

import pytest
from conftest import Imported
from holmia_processes import (
    Finished,
    events_of,
    free_port,
    listening,
    read_results,
    run,
    run_well,
    running,
    send,
    until_sigterm_is_handled,
    watching,
)

from console.demo.phantom_dicom import PhantomTreatment
from console.processes import holmia_command

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("exit_statuses")]


def assert_refused(done: Finished, status: int, *words: str) -> None:
    """The status, and a sentence that names the cause."""
    assert done.status == status, done.err
    assert done.out == ""
    for word in words:
        assert word in done.err.replace("\n", " "), done.err


@pytest.fixture
def copied(imported: Imported, tmp_path: Path) -> Path:
    """A treatment file that may be spoiled."""
    return Path(shutil.copy(imported.file, tmp_path / "copy.holmia"))


def test_listen_says_its_port_first_and_ends_well_on_sigterm(phantom: PhantomTreatment, tmp_path: Path) -> None:
    with listening(tmp_path / "live.holmia", phantom.plan_path) as (listener, port):
        assert listener.lines[0]["event"] == "listening"
        assert listener.lines[0]["port"] == port > 0
        # It starts light: nothing that computes is loaded.
        loaded = Path(f"/proc/{listener.process.pid}/maps").read_text()
        assert "/numpy/" in loaded
        assert not any(library in loaded for library in ("/scipy/", "/SimpleITK/", "/numba/"))
        assert listener.terminate() == 0
    assert [e.kind for e in events_of(tmp_path / "live.holmia")][-1] == "listener_stopped"
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix == ".holmia") == ["live.holmia"]


def test_the_same_plan_is_no_change_and_another_is_a_revision(phantom: PhantomTreatment, tmp_path: Path) -> None:
    file = tmp_path / "live.holmia"
    for plan in (phantom.planned_only_path, phantom.planned_only_path, phantom.plan_path, phantom.plan_path):
        with listening(file, plan):
            pass
    kinds = [e.kind for e in events_of(file)]
    assert kinds.count("treatment_created") == kinds.count("plan_loaded") == kinds.count("plan_revised") == 1
    assert kinds.count("listener_started") == kinds.count("listener_stopped") == 4


def test_a_port_in_use_is_one_sentence(phantom: PhantomTreatment, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("listen", tmp_path / "a.holmia", "--plan", phantom.plan_path, "--host", "127.0.0.1", "--port", port)
    assert_refused(done, 1, str(port))
    assert len(done.err.strip().splitlines()) == 1


def test_two_listeners_of_one_file_are_refused(phantom: PhantomTreatment, tmp_path: Path) -> None:
    file = tmp_path / "live.holmia"
    with listening(file, phantom.plan_path):
        second = run("listen", file, "--plan", phantom.plan_path, "--host", "127.0.0.1", "--port", 0)
    assert_refused(second, 1, "live.holmia")


def test_a_corrupt_file_is_refused(phantom: PhantomTreatment, tmp_path: Path) -> None:
    file = tmp_path / "corrupt.holmia"
    file.write_bytes(b"This is no treatment file. " * 400)
    before = file.read_bytes()
    out = tmp_path / "out"
    assert_refused(run("quantify", file, "--out", out), 2, "corrupt.holmia")
    assert_refused(run("replay", file, "--verify"), 2, "corrupt.holmia")
    assert_refused(run("watch", file, "--until-complete", "--timeout", 5), 2, "corrupt.holmia")
    listen = run("listen", file, "--plan", phantom.plan_path, "--port", 0, own_process=False)
    assert_refused(listen, 2, "corrupt.holmia")
    assert_refused(run("console", file, own_process=False), 2, "corrupt.holmia")
    assert file.read_bytes() == before
    assert not out.exists()


def test_a_cut_off_file_is_read_to_its_last_sound_event(
    copied: Path, phantom: PhantomTreatment, tmp_path: Path
) -> None:
    with copied.open("r+b") as stream:
        stream.truncate(copied.stat().st_size * 9 // 10)
    before = copied.read_bytes()
    done = run("quantify", copied, "--out", tmp_path / "out")
    assert done.status == 2
    assert "DAMAGED" in done.err
    assert "last sound event" in done.err
    document = read_results(tmp_path / "out")
    assert document["software"]["record_damage"] in done.err.replace("\n", " ")
    assert "file_damaged" in [a["kind"] for a in document["alarms"] if a["priority"] == "high"]
    # Nothing is added to it; its sound part becomes a file of its own.
    listen = run("listen", copied, "--plan", phantom.plan_path, "--port", 0, own_process=False)
    assert_refused(listen, 2, "copy.holmia", "last sound event")
    assert run("export", copied, "--to", "treatment", "--identified", "--out", tmp_path / "sound").status == 2
    assert copied.read_bytes() == before
    again = run("quantify", tmp_path / "sound" / copied.name, "--out", tmp_path / "again")
    assert again.status != 2, again.err
    assert read_results(tmp_path / "again")["fractions"] == document["fractions"]


def test_an_exported_treatment_is_the_same_treatment(imported: Imported, tmp_path: Path) -> None:
    copy = ("export", imported.file, "--to", "treatment", "--identified", "--out", tmp_path)
    assert run(*copy).status == 0
    assert events_of(tmp_path / imported.file.name) == events_of(imported.file)
    assert_refused(run(*copy), 2, "exists already")
    assert_refused(run("export", imported.file, "--to", "pictures", "--out", tmp_path), 2, "treatment")


def test_an_altered_event_is_found(copied: Path) -> None:
    connection = sqlite3.connect(copied)
    with connection:
        guards = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE event SET actor = 'somebody' WHERE seq = 5")
        for _, definition in guards:
            connection.execute(definition)
    connection.close()
    assert_refused(run("replay", copied, "--verify"), 2, "last sound event is 4")


def test_a_newer_file_is_refused_by_name(copied: Path, tmp_path: Path) -> None:
    connection = sqlite3.connect(copied)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert_refused(run("quantify", copied, "--out", tmp_path / "out"), 2, "copy.holmia", "newer")
    assert_refused(run("watch", copied, "--timeout", 5), 2, "copy.holmia", "newer")


def test_a_missing_file_is_a_usage_error(phantom: PhantomTreatment, tmp_path: Path) -> None:
    missing = tmp_path / "missing.holmia"
    assert run("quantify", missing, "--out", tmp_path / "out").status == 2
    assert_refused(run("replay", missing, "--verify"), 2, "missing.holmia")
    assert_refused(run("console", missing, own_process=False), 2, "missing.holmia")
    assert run("import", tmp_path / "nowhere", "-o", tmp_path / "a.holmia", "--plan", phantom.plan_path).status == 2
    assert run("send", tmp_path / "nowhere", "127.0.0.1:104").status == 2
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_plan_is_a_usage_error(phantom: PhantomTreatment, tmp_path: Path) -> None:
    assert_refused(run("quantify", phantom.reference, "--out", tmp_path / "out"), 2, "--plan")


def test_a_file_with_a_second_plan_is_a_usage_error(
    imported: Imported, phantom: PhantomTreatment, tmp_path: Path
) -> None:
    done = run("quantify", imported.file, "--plan", phantom.plan_path, "--out", tmp_path / "out")
    assert_refused(done, 2, "--set")


def test_import_never_overwrites(phantom: PhantomTreatment, copied: Path) -> None:
    before = copied.read_bytes()
    done = run("import", phantom.reference, "-o", copied, "--plan", phantom.plan_path)
    assert_refused(done, 2, "exists already")
    assert copied.read_bytes() == before


def test_import_of_nothing_is_told(phantom: PhantomTreatment, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("no DICOM")
    done = run("import", tmp_path / "folder", "-o", tmp_path / "a.holmia", "--plan", phantom.plan_path)
    assert_refused(done, 1, "Nothing was stored")


def test_watch_gives_up_in_time(phantom: PhantomTreatment, tmp_path: Path) -> None:
    file = tmp_path / "live.holmia"
    assert_refused(run("watch", file, "--until-complete", "--timeout", 0.5), 1, "0.5 s")
    assert_refused(run("watch", file, "--timeout", 0.5), 1, "live.holmia")
    with listening(file, phantom.plan_path) as (_, port):
        send(phantom.reference, port)
    done = run("watch", file, "--until-complete", "--timeout", 3)
    assert done.status == 1
    assert "0 of 2" in done.err


def test_watch_ends_well_on_sigterm(phantom: PhantomTreatment, tmp_path: Path) -> None:
    file = tmp_path / "live.holmia"
    with listening(file, phantom.plan_path) as (_, port), watching(file) as watch:
        send(phantom.reference, port)
        watch.until(lambda line: line["event"] == "series_complete")
        assert watch.terminate() == 0
    with running(holmia_command("watch", str(tmp_path / "never.holmia"))) as waiting:
        until_sigterm_is_handled(waiting.process)
        assert waiting.terminate() == 0


def test_a_failed_fraction_is_status_one_with_its_cause(phantom: PhantomTreatment, tmp_path: Path) -> None:
    file = tmp_path / "part.holmia"
    run_well("import", phantom.reference, phantom.fractions[0], "-o", file, "--plan", phantom.plan_path)
    done = run("quantify", file, "--out", tmp_path / "out")
    assert_refused(done, 1, "RHA F2: no holmium series was acquired")
    assert (tmp_path / "out" / "results.json").exists()


def test_outputs_that_cannot_be_written_are_told(imported: Imported, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file where a folder should be")
    assert_refused(run("quantify", imported.file, "--out", tmp_path / "out"), 1, "out")


def test_sending_to_nobody_is_told(phantom: PhantomTreatment) -> None:
    # Of its own: pynetdicom leaves the socket of a refused connection open.
    refused = run("send", phantom.structures, f"127.0.0.1:{free_port()}", own_process=True)
    assert_refused(refused, 1, "cannot be reached")
    assert_refused(run("send", phantom.structures, "nowhere"), 2, "HOST:PORT")


def test_sending_to_another_title_is_told(phantom: PhantomTreatment, tmp_path: Path) -> None:
    with listening(tmp_path / "live.holmia", phantom.plan_path) as (_, port):
        done = run("send", phantom.structures, f"127.0.0.1:{port}", "--called", "SOMEBODY")
        assert_refused(done, 1, "SOMEBODY")
        assert "1 instances sent, 0 refused" in run_well("send", phantom.structures, f"127.0.0.1:{port}").err
    assert "association_refused" in [e.kind for e in events_of(tmp_path / "live.holmia")]


def test_a_phantom_never_overwrites(phantom: PhantomTreatment) -> None:
    assert_refused(run("phantom", phantom.folder), 2, "not an empty folder")


def test_unknown_commands_and_options_are_usage_errors() -> None:
    assert run("dance").status == 2
    assert run("quantify", "--loudly").status == 2
    assert run("--version").status == 0
    assert run("--help").status == 0
