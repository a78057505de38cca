"""The comparison in the window: sides are checked as they are typed and computed beside it; nothing is recorded."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMainWindow

sys.path.append(str(Path(__file__).parent.parent / "outputs"))

import treated as made

from config.overrides import parse_set
from config.settings import Settings
from console.comparison import Verdict, compare
from console.comparison_words import line
from console.dashboard.desk.comparison import THIS, Choice, fault_of_both, judged, side_state, versions_of
from console.dashboard.desk.comparison_table import RIGHT, comparison_table, plots
from console.dashboard.dialogs.comparison_dialog import ComparisonDialog
from console.dashboard.dialogs.comparison_result import ONLY_DIFFERING
from console.dashboard.dialogs.tool_dialog import Replayed, Services
from console.outputs.comparison_folder import NAMES
from console.snapshot import GivenStructures, Snapshot
from console.tasks import Computing, Progress, Refused
from dicom_listener.images import RegionMask, Structure, StructureSet
from quantify.dvh import thinned
from quantify.model import Role

SITE = Settings()
DENSITY = "tissue_density_g_per_mL=1.0"


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    """Three fractions, with a plan that settings can be laid over."""
    own = made.treated(fractions=3).snapshot
    results = tuple(
        replace(r, maps=None, volumes={name: replace(v, dvh=thinned(v.dvh, 60)) for name, v in r.volumes.items()})
        for r in own.results
    )
    own = replace(own, results=results)
    settings = {"quantification": SITE.quantification.to_mapping(), "alarms": SITE.alarms.to_mapping()}
    return replace(own, loaded={"plan": own.plan.to_mapping(), "settings": settings})


def heavier(snapshot: Snapshot, **changes: object) -> Snapshot:
    """The treatment with higher doses."""
    results = tuple(
        replace(
            r,
            volumes={
                name: replace(own, dose_mean_gy=1.6 * own.dose_mean_gy, dose_mean_u_gy=1.6 * own.dose_mean_u_gy)
                for name, own in r.volumes.items()
            },
        )
        for r in snapshot.results
    )
    return replace(snapshot, results=results, **changes)


class StandIn:
    """An engine that computes nothing; the test tells what it tells."""

    def __init__(self, task: Computing, on_snapshot, on_told) -> None:
        self.task, self.tell_snapshot, self.tell = task, on_snapshot, on_told
        self.started = self.stopped = False
        self.failure = ""

    def start(self) -> None:
        self.started = True

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def opened(qapp, snapshot, tmp_path):
    """The dialog over a window, what was said, and the engines that were made."""
    window, said, engines = QMainWindow(), [], []
    window.resize(1366, 768)
    record = tmp_path / "demo.holmia"
    record.write_bytes(b"as it was")

    def make(*asked):
        engines.append(StandIn(*asked))
        return engines[-1]

    services = Services(operate=lambda word: said.append(word) or "", settings=SITE, record=record)
    dialog = ComparisonDialog(window, services, make)
    window.show()
    dialog.receive(snapshot, None)
    dialog.show()
    QCoreApplication.processEvents()
    yield dialog, engines
    dialog.close()
    assert all(engine.wait(5.0) for engine in dialog.ended)
    assert said == []
    assert record.read_bytes() == b"as it was"
    window.close()
    window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def until(met) -> None:
    for _ in range(2000):
        if met():
            return
        QTest.qWait(10)
    pytest.fail("it did not come to pass within twenty seconds")


def computed(dialog, engines, a: Snapshot, b: Snapshot):
    """Compute as it is chosen, with these snapshots; returns the engines."""
    dialog.compute()
    pair = engines[-2:]
    for engine, snapshot in zip(pair, (a, b), strict=True):
        engine.tell_snapshot(snapshot)
    until(lambda: not dialog.busy and dialog.pages.currentWidget() is dialog.found)
    return pair


# -- what is chosen ------------------------------------------------------------------------------------------------


def test_two_sides_that_are_the_same_are_not_computed(opened):
    dialog, engines = opened
    assert not dialog.start_button.isEnabled()
    assert "A and B are the same" in dialog.why.text()
    dialog.compute()
    assert engines == []


def test_what_is_typed_is_what_set_takes(opened):
    dialog, engines = opened
    dialog.sides[0].settings.setPlainText("trend.threshold_pct=5\n\n")
    dialog.sides[1].settings.setPlainText(f"trend.threshold_pct=5\n{DENSITY}")
    assert dialog.start_button.isEnabled()
    dialog.compute()
    tasks = [engine.task for engine in engines]
    assert tasks[0].overrides == parse_set(["trend.threshold_pct=5"])
    assert tasks[1].overrides == parse_set(["trend.threshold_pct=5", DENSITY])
    assert {task.path for task in tasks} == {dialog.services.record}
    assert all(engine.started for engine in engines)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("tissue_density", "is not KEY=VALUE"),
        ("tissue_densty_g_per_mL=1.0", "Did you mean"),
        ("tissue_density_g_per_mL=-3", "tissue_density_g_per_mL"),
    ],
    ids=["no value", "no such setting", "out of range"],
)
def test_a_setting_that_cannot_be_used_is_told_while_it_is_typed(opened, typed, told):
    dialog, _ = opened
    dialog.sides[1].settings.setPlainText(typed)
    assert told in dialog.sides[1].state.whole
    assert dialog.sides[1].state.whole.startswith("✕ B: ")
    assert not dialog.start_button.isEnabled()


def test_another_file_has_to_be_there(snapshot, tmp_path):
    record = tmp_path / "a.holmia"
    record.touch()
    for typed, told in (("", "Name a"), (str(tmp_path), "is a folder"), (str(tmp_path / "b.holmia"), "does not exist")):
        assert told in judged(Choice(other=True, path=typed), snapshot, record).fault
    own = judged(Choice(), snapshot, record)
    same = judged(Choice(other=True, path=str(record)), snapshot, record)
    assert "the same" in fault_of_both(own, same)
    other = tmp_path / "c.holmia"
    other.touch()
    assert fault_of_both(own, judged(Choice(other=True, path=str(other)), snapshot, record)) == ""


def test_versions_are_offered_of_what_was_given_more_than_once(opened, snapshot):
    dialog, engines = opened
    grid = made.grid(oblique=False)

    def given(name: str, label: str) -> GivenStructures:
        mask = RegionMask(values=snapshot.volumes[1].occupancy > 0.5, affine_lps_mm=grid.affine_lps_mm)
        structures = (Structure(name=name, number=1, mask=mask),)
        own = StructureSet(
            sop_instance_uid="1.2.3",
            label=label,
            frame_of_reference_uid=made.FRAME,
            referenced_series_uids=(),
            structures=structures,
        )
        return GivenStructures(structures=own, at=made.START, by="Dr. A. Acker")

    all_given = (given("Tumour 1", "first"), given("Tumour 2", "x"), given("Tumour 1", "second"))
    twice = replace(snapshot, structures=all_given)
    assert list(versions_of(twice)) == ["Tumour 1"]
    dialog.receive(twice, None)
    box = dialog.sides[1].versions["Tumour 1"]
    assert [box.itemText(n).partition(" · ")[0] for n in range(3)] == [
        "Tumour 1: as recorded",
        "Tumour 1: version 1",
        "Tumour 1: version 2",
    ]
    box.setCurrentIndex(1)
    assert dialog.start_button.isEnabled()
    dialog.compute()
    assert [dict(engine.task.volumes) for engine in engines] == [{}, {"Tumour 1": 1}]


def test_beside_a_what_if_its_settings_are_offered_for_b(qapp, snapshot, tmp_path):
    window = QMainWindow()
    what_if = {"trend.threshold_pct": 5}
    replayed = Replayed(
        at_end=lambda: True, go_to_end=lambda: None, compute_with=lambda _: "", overrides=lambda: what_if
    )
    services = Services(operate=lambda _: "", settings=SITE, record=tmp_path / "t.holmia", replayed=replayed)
    dialog = ComparisonDialog(window, services, StandIn)
    assert dialog.sides[1].choice == Choice(settings="trend.threshold_pct=5")
    assert dialog.sides[0].choice == Choice()
    assert dialog.sides[0].source.currentText() == THIS
    window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


# -- what is computed ----------------------------------------------------------------------------------------------


def test_the_table_shows_what_the_comparison_says(opened, snapshot):
    dialog, engines = opened
    dialog.sides[1].settings.setPlainText(DENSITY)
    b = heavier(snapshot)
    pair = computed(dialog, engines, snapshot, b)
    until(lambda: all(engine.stopped for engine in pair))
    expected = compare(made.side_of("A", snapshot), made.side_of("B", b))
    last = len(expected.pairs) - 1
    told = [[cell.text for cell in row.cells[1:]] for row in dialog.found.table.table.rows if not row.heading]
    assert told == [list(line(row).cells) for row in expected.rows_of(last)]
    assert dialog.found.labels[1].whole == f"B: demo · {DENSITY} · patient EM1-004"
    beyond = [row for row in dialog.found.table.table.rows if row.cells[-1].text == "▲ beyond"]
    assert beyond
    assert all(row.cells[-1].bold for row in beyond)
    dialog.found.rows.setCurrentText(ONLY_DIFFERING)
    assert "= same" not in {row.cells[-1].text for row in dialog.found.table.table.rows}


def test_progress_is_told_and_cancelling_ends_both_engines_for_good(opened, snapshot):
    dialog, engines = opened
    dialog.sides[1].settings.setPlainText(DENSITY)
    dialog.compute()
    engines[0].tell(Progress(done=30, of=120))
    until(lambda: "reading 25 %" in dialog.sides[0].state.whole)
    engines[0].tell(Progress(done=120, of=120))
    until(lambda: "computing the results" in dialog.sides[0].state.whole)
    assert not dialog.sides[0].settings.isEnabled()
    dialog.cancel()
    until(lambda: all(engine.stopped for engine in engines))
    for engine in engines:
        engine.tell_snapshot(snapshot)
    QTest.qWait(50)
    assert dialog.pages.currentWidget() is dialog.choosing
    assert not dialog.busy
    assert dialog.sides[0].settings.isEnabled()


def test_why_a_side_cannot_be_computed_is_told(opened):
    dialog, engines = opened
    dialog.sides[1].settings.setPlainText(DENSITY)
    dialog.compute()
    engines[1].tell(Refused(text="There is no version 3 of the volume 'Tumour 1': it has 2."))
    until(lambda: "no version 3" in dialog.outcome.text())
    assert not dialog.busy
    dialog.compute()
    engines[2].failure = "The engine stopped: out of memory."
    dialog.engines["A"]._look_after()
    assert "out of memory" in dialog.outcome.text()
    assert not dialog.busy


def test_closing_the_dialog_ends_what_it_computes(opened):
    dialog, engines = opened
    dialog.sides[1].settings.setPlainText(DENSITY)
    dialog.compute()
    dialog.hide()
    until(lambda: all(engine.stopped for engine in engines))
    assert not dialog.busy


def test_two_treatments_stand_side_by_side_on_the_same_axes(snapshot):
    other = heavier(snapshot, series=(), head_hash="cd" * 32)
    comparison = compare(made.side_of("A", snapshot), made.side_of("B", other))
    shown = plots(comparison, 2, snapshot, other)
    assert not shown.overlaid
    assert shown.trends[0].y_maximum_gy == shown.trends[1].y_maximum_gy
    assert shown.histograms[0].x_maximum_gy == shown.histograms[1].x_maximum_gy
    same = compare(made.side_of("A", snapshot), made.side_of("B", heavier(snapshot)))
    assert plots(same, 2, snapshot, heavier(snapshot)).overlaid


def test_a_volume_keeps_its_symbol_and_numbers_stand_right(snapshot):
    comparison = compare(made.side_of("A", snapshot), made.side_of("B", heavier(snapshot)))
    table = comparison_table(comparison, 2, snapshot, only_differing=False)
    headings = {row.cells[0].text: row.series for row in table.rows if row.heading}
    assert headings["Tumour 1"] == 1
    assert headings["Healthy liver"] == 0
    assert max(RIGHT) < len(table.columns) - 1
    roles = {own.role for own in snapshot.results[-1].volumes.values()}
    assert Role.TUMOUR in roles
    assert any(row.verdict is Verdict.UNTOLD for row in comparison.rows)


def test_the_export_writes_what_the_command_writes(opened, snapshot, tmp_path, monkeypatch):
    dialog, engines = opened
    monkeypatch.setattr("console.outputs.comparison_pdf.write_comparison", lambda _, path: path.write_bytes(b"%PDF"))
    dialog.sides[1].settings.setPlainText(DENSITY)
    short = replace(snapshot, results=snapshot.results[-1:])
    computed(dialog, engines, short, heavier(short))
    assert not dialog.export.button.isEnabled()
    dialog.export.folder.setText(str(tmp_path / "out"))
    dialog.export.identified.setChecked(True)
    dialog.export.button.click()
    until(lambda: "written" in dialog.outcome.text() or "✕" in dialog.outcome.text())
    assert dialog.outcome.text() == "✓ written, with the patients' names"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(NAMES)
    dialog.export.button.click()
    until(lambda: "exist already" in dialog.outcome.text())


def test_a_state_has_a_sign_and_words(snapshot, tmp_path):
    record = tmp_path / "demo.holmia"
    record.touch()
    state = side_state("A", judged(Choice(), snapshot, record), None)
    assert state.text == "○ A: demo · as recorded"
