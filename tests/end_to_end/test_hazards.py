"""What must not mislead: another patient's images, missing images, a second series, a series that is no T2* one."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from changed_files import later, new_series, of_patient, rewritten, spin_echo
from conftest import Imported
from holmia_processes import (
    events_of,
    listening,
    quantified,
    read_results,
    run,
    send,
    told_of,
    watching,
    without_software,
)

from console.demo.phantom_dicom import PhantomTreatment

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("hazards")]


def without_alarms(document: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in without_software(document).items() if k != "alarms"}


def test_another_patients_images_are_set_aside_and_change_nothing(
    phantom: PhantomTreatment, imported: Imported, tmp_path: Path
) -> None:
    stranger = rewritten(
        phantom.fractions[0],
        tmp_path / "stranger",
        new_series("stranger"),
        later(timedelta(minutes=1)),
        of_patient("EM1-005", "Other^Person"),
    )
    file = tmp_path / "live.holmia"
    with listening(file, phantom.plan_path) as (_, port), watching(file) as watch:
        with ThreadPoolExecutor(1) as other_scanner:  # both at once
            sent = other_scanner.submit(send, stranger, port, calling_ae="OTHER")
            for folder in phantom.series_folders:
                send(folder, port)
            sent.result()
        assert watch.end() == 0, watch.err
    alarm = watch.until(lambda line: line["event"] == "alarm" and line["kind"] == "patient_mismatch")
    assert alarm["priority"] == "high"
    aside = file.with_name("live.quarantine.holmia")
    assert sum(e.kind == "instance_stored" for e in events_of(aside)) == len(list(stranger.iterdir()))
    own = events_of(file)
    set_aside = [e for e in own if e.kind == "instance_quarantined"]
    assert len(set_aside) == len(list(stranger.iterdir()))
    assert all(e.object_sha256 is None for e in set_aside)
    assert not any("EM1-005" in str(e.payload) or "Other" in str(e.payload) for e in own)
    document = quantified(file, tmp_path / "out")
    assert without_alarms(document) == without_alarms(imported.document)
    assert [a["priority"] for a in document["alarms"] if a["kind"] == "patient_mismatch"] == ["high"]


def test_an_incomplete_series_fails_its_fraction_until_the_rest_arrives(
    phantom: PhantomTreatment, imported: Imported, tmp_path: Path
) -> None:
    part, rest = tmp_path / "part", tmp_path / "rest"
    for folder in (part, rest):
        folder.mkdir()
    files = sorted(phantom.fractions[0].iterdir())
    for number, path in enumerate(files):
        shutil.copy(path, (rest if number in (7, 48, 49) else part) / path.name)
    file = tmp_path / "live.holmia"
    site = tmp_path / "site.toml"
    site.write_text("[site]\nseries_quiet_s = 0.5\n[alarms]\nincomplete_after_s = 0.5\n", encoding="utf-8")
    with listening(file, phantom.plan_path, "--site", site) as (_, port), watching(file) as watch:
        for folder in (*phantom.series_folders[:3], part):
            send(folder, port)
        failed = watch.until(lambda line: line["event"] == "fraction_result" and line["fraction"] == 1)
        assert failed["status"] == "failed"
        assert failed["error"].startswith("its series is not complete")
        assert failed["volumes"] == {}
        late = watch.until(lambda line: line["event"] == "alarm")
        assert (late["kind"], late["priority"]) == ("series_incomplete", "medium"), "one finding, one alarm"
        without = run("quantify", file, "--out", tmp_path / "without")
        assert without.status == 1
        assert "its series is not complete" in without.err
        send(rest, port)
        watch.until(
            lambda line: line["event"] == "fraction_result" and line["fraction"] == 1 and line["status"] == "ok"
        )
        send(phantom.fractions[1], port)
        assert watch.end() == 0, watch.err
    assert [f["status"] for f in read_results(tmp_path / "without")["fractions"]] == ["failed", "failed"]
    own, expected = without_software(quantified(file, tmp_path / "out")), without_software(imported.document)
    assert own.pop("settings") != expected.pop("settings"), "the site's alarms are raised sooner here"
    assert own == expected


def test_of_two_series_in_one_window_the_last_is_used_and_said_to_be_provisional(
    phantom: PhantomTreatment, imported: Imported, tmp_path: Path
) -> None:
    again = rewritten(phantom.fractions[0], tmp_path / "again", new_series("again"), later(timedelta(minutes=2)))
    file = tmp_path / "live.holmia"
    with listening(file, phantom.plan_path) as (_, port):
        for folder in (*phantom.series_folders[:4], again, *phantom.series_folders[4:]):
            send(folder, port)
    document = quantified(file, tmp_path / "out")
    first, second = document["fractions"]
    expected = imported.document["fractions"]
    assert (first["status"], second["status"]) == ("provisional", "ok")
    assert second == expected[1]
    assert first["series_instance_uid"] not in {f["series_instance_uid"] for f in expected}
    assert first["acquired_at"] > expected[0]["acquired_at"]
    assert any("two series" in reason for reason in first["provisional_reasons"])
    alarms = [a for a in document["alarms"] if a["kind"] == "ambiguous_series"]
    assert [(a["position"], a["fraction"]) for a in alarms] == [("RHA", 1)]
    # The same images under another name: the numbers cannot differ.
    assert first["volumes"] == expected[0]["volumes"]


def test_a_spin_echo_in_the_window_is_ignored(phantom: PhantomTreatment, imported: Imported, tmp_path: Path) -> None:
    t2 = rewritten(phantom.fractions[0], tmp_path / "t2", new_series("t2"), later(timedelta(minutes=2)), spin_echo)
    file = tmp_path / "live.holmia"
    with listening(file, phantom.plan_path) as (_, port):
        for folder in (*phantom.series_folders[:4], t2, *phantom.series_folders[4:]):
            send(folder, port)
    complete = [line for line in told_of(file) if line["event"] == "series_complete"]
    assert any("Spin echo" in line["holmium_refusal"] for line in complete if line["holmium_refusal"])
    assert without_software(quantified(file, tmp_path / "out")) == without_software(imported.document)


def test_an_image_altered_under_the_same_identity_is_set_aside(
    phantom: PhantomTreatment, imported: Imported, tmp_path: Path
) -> None:
    def brighter(ds: Any) -> None:
        ds.PixelData = bytes(255 - value if index % 2 == 0 else value for index, value in enumerate(ds.PixelData))

    altered = rewritten(phantom.fractions[0], tmp_path / "altered", brighter)
    for path in sorted(altered.iterdir())[2:]:
        path.unlink()
    file = tmp_path / "live.holmia"
    with listening(file, phantom.plan_path) as (_, port):
        for folder in (*phantom.series_folders[:4], altered, *phantom.series_folders[4:]):
            send(folder, port)
    alarms = [line for line in told_of(file) if line["event"] == "alarm"]
    assert [alarm["priority"] for alarm in alarms if alarm["kind"] == "instance_conflict"] == ["high"]
    assert without_alarms(quantified(file, tmp_path / "out")) == without_alarms(imported.document)
