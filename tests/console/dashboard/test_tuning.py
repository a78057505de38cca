"""The physicist's panel: what is typed is what ``--set`` takes, B beside A claims nothing, and nothing is left."""

from __future__ import annotations

import shlex
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import treatments
from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QComboBox, QLineEdit, QMainWindow

from config.errors import ConfigurationError
from config.overrides import parse_set
from config.plan import plan_from_mapping
from config.settings import Settings
from console.dashboard.desk.difference import (
    COLUMNS,
    Drafted,
    changes_in_words,
    difference_table,
    draft_state,
    is_computed,
    largest_in_words,
)
from console.dashboard.desk.difference_images import difference_images
from console.dashboard.desk.form import Entry
from console.dashboard.desk.tuning import Draft, active_of, judged, promotion, promotion_fault
from console.dashboard.desk.tuning_settings import Setting, found, tunable, value_text
from console.dashboard.dialogs.tool_dialog import Services
from console.dashboard.dialogs.tuning_dialog import TuningDialog
from console.draft import DraftRefused
from console.operation_words import words_of
from console.operations import RevisePlan
from console.snapshot import Snapshot
from console.treatment import Treatment, laid_over
from dicom_listener.events import Kind
from quantify.findings import VolumeStatus
from quantify.model import Reason

NOW = treatments.START + timedelta(minutes=58)
SITE = Settings()
PLAN = plan_from_mapping(
    {
        "schema": 1,
        "patient": {"id": "EM1-004"},
        "microspheres": {
            "holmium_fraction": 0.195,
            "specific_activity_MBq_per_mg": 12.0,
            "reference_time": "2026-03-04T10:00:00+01:00",
        },
        "calibration": {"relaxivity_per_s_per_mg_mL": 218.0, "field_T": 3.0, "holmium_fraction": 0.195},
        "quantification": {"trend": {"fit_points": 4}},
        "injections": [{"position": "RHA", "fraction": 1, "planned_MBq": 430.0}],
    },
    site_time_zone="Europe/Amsterdam",
)
LOADED = {
    "plan": PLAN.to_mapping(),
    "settings": {"quantification": SITE.quantification.to_mapping(), "alarms": SITE.alarms.to_mapping()},
}
DENSITY, RELAXIVITY = "quantification.tissue_density_g_per_mL", "calibration.relaxivity_per_s_per_mg_mL"
THRESHOLD, FIT, S0 = "quantification.trend.threshold_pct", "quantification.fit", "quantification.s0"
ACTIVE = active_of(Snapshot(loaded=LOADED))


def as_active(snapshot: Snapshot) -> Snapshot:
    """A made-up treatment with a plan that can be tuned."""
    return replace(snapshot, loaded=LOADED, inputs="plan-a/settings-a", results_inputs="plan-a/settings-a")


def as_draft(a: Snapshot, factor: float, overrides: dict[str, object]) -> Snapshot:
    """All doses times a factor, as the draft's engine tells it."""

    def scaled(own):
        if own.dose_mean_gy is None:
            return own
        intervals = {k: replace(s, value=s.value * factor, u=s.u * factor) for k, s in own.intervals.items()}
        d70 = None if own.d70_gy is None else own.d70_gy * factor
        mean, u = own.dose_mean_gy * factor, own.dose_mean_u_gy * factor
        return replace(own, dose_mean_gy=mean, dose_mean_u_gy=u, d70_gy=d70, intervals=intervals)

    def mapped(maps):
        return (
            None
            if maps is None
            else replace(maps, dose=replace(maps.dose, values=maps.dose.values * np.float32(factor)))
        )

    results = tuple(
        replace(r, volumes={name: scaled(own) for name, own in r.volumes.items()}, maps=mapped(r.maps))
        for r in a.results
    )
    made = f"plan-{factor}/settings-b"
    told = replace(a, results=results, overrides=overrides, inputs=made, results_inputs=made)
    return replace(told, reference=None, anatomy=None)


def another(setting: Setting) -> str:
    """A text with which only this setting changes to something that can be used."""
    value = ACTIVE.values.get(setting.path)
    if setting.entry is Entry.CHOICE:
        return next(choice for choice in setting.choices if choice != value)
    if setting.entry is Entry.TICK:
        return value_text(not value)
    if isinstance(value, list):
        return value_text(value[:-1])
    if isinstance(value, str):
        return "2026-03-04T11:30:00+01:00"
    if value is None:
        return "36.5"
    tried = (value + 1 if isinstance(value, int) else round(0.9 * value + 0.013, 4), value - 1, 0.5 * value + 100)
    return value_text(next(t for t in tried if judged(Draft().type(setting.path, value_text(t)), ACTIVE).overrides))


# -- what is typed -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def changed() -> dict[str, str]:
    """For every setting another text."""
    return {one.path: another(one) for one in tunable()}


def test_every_setting_of_the_quantification_can_be_tuned_and_says_unit_range_and_source():
    paths = [one.path for one in tunable()]
    assert len(paths) == len(set(paths))
    assert set(paths) == set(ACTIVE.values) | {"calibration.temperature_C"}
    for one in tunable():
        assert one.about.takes
        assert one.about.description
        assert one.about.source


def test_a_changed_value_of_every_setting_is_the_same_override_as_set_gives(changed):
    for path, text in changed.items():
        told = judged(Draft().type(path, text), ACTIVE)
        as_set = parse_set([f"{path}={text}"])
        assert told.overrides == as_set, path
        assert told.changed == (path,)
        words = shlex.split(told.command)
        assert parse_set(words[1::2]) == as_set
        assert words[::2] == ["--set"]


def test_promoting_a_draft_gives_the_very_plan_and_settings_that_it_was_computed_with(changed):
    for path, text in changed.items():
        told = judged(Draft().type(path, text), ACTIVE)
        drafted = laid_over(Treatment(loaded=LOADED), told.overrides)
        promoted = laid_over(Treatment(loaded={**LOADED, "plan": told.revised}), {})
        assert (drafted.plan, drafted.quantification) == (promoted.plan, promoted.quantification), path
        before = laid_over(Treatment(loaded=LOADED), {})
        assert (drafted.plan, drafted.quantification) != (before.plan, before.quantification), path


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (THRESHOLD, "-5"),
        (THRESHOLD, "5,5"),
        (THRESHOLD, ""),
        (THRESHOLD, "10 %"),
        ("quantification.trend.fit_points", "3.5"),
        (FIT, "linear"),
        ("quantification.statistics.v_x_Gy", "20, 50"),
        (RELAXIVITY, "0.218"),
        ("quantification.statistics.bed", "1"),
        ("microspheres.reference_time", "yesterday"),
    ],
)
def test_bad_input_is_refused_beside_its_field_with_what_is_expected_where_set_refuses_it(path, text):
    told = judged(Draft().type(path, text).type(DENSITY, "1.03"), ACTIVE)
    assert told.verdicts[path].fault
    assert DENSITY not in told.verdicts
    assert told.refused
    assert not told.overrides, "nothing of a draft with a fault is computed"
    with pytest.raises(ConfigurationError):
        laid_over(Treatment(loaded=LOADED), parse_set([f"{path}={text}"]))


def test_values_that_do_not_go_together_are_told_of_the_draft_and_not_computed():
    told = judged(Draft().type(FIT, "arlo").type(S0, "blended"), ACTIVE)
    assert not told.verdicts
    assert "arlo" in told.state.word
    assert not told.overrides


def test_what_is_allowed_but_unlikely_is_a_warning_and_no_refusal():
    told = judged(Draft().type(RELAXIVITY, "50"), ACTIVE)
    assert told.overrides == {RELAXIVITY: 50}
    assert told.state.sign == "▲"
    assert "relaxivity" in told.warnings[0].lower()


@pytest.mark.parametrize("text", ["10", "10.0", " 1e1 "])
def test_the_active_value_however_it_is_written_is_no_change(text):
    told = judged(Draft().type(THRESHOLD, text), ACTIVE)
    assert (told.changed, dict(told.overrides), told.command) == ((), {}, "")


def test_a_value_of_the_plan_and_not_the_default_is_what_a_draft_is_laid_beside():
    assert ACTIVE.text("quantification.trend.fit_points") == "4"
    assert judged(Draft().type("quantification.trend.fit_points", "3"), ACTIVE).overrides
    assert not judged(Draft().type(THRESHOLD, "12").reset(THRESHOLD), ACTIVE).changed


def test_the_search_finds_a_setting_by_key_description_and_unit():
    assert THRESHOLD in found("thresh")
    assert found("relaxivity calibration") >= {RELAXIVITY}
    assert found("") == {one.path for one in tunable()}
    assert not found("no such thing")


# -- the lock ------------------------------------------------------------------------------------------------------


def test_nothing_is_promoted_without_a_name_a_reason_a_change_and_its_doses_seen():
    fine = judged(Draft().type(DENSITY, "1.03"), ACTIVE)
    said = {"name": "P. Jansen", "reason": "density remeasured", "shown": True}
    assert promotion_fault(fine, **said) == ""
    for lacking in ({"name": " P "}, {"reason": "because"}, {"shown": False}):
        assert promotion_fault(fine, **{**said, **lacking})
    assert promotion_fault(judged(Draft(), ACTIVE), **said)
    assert promotion_fault(judged(Draft().type(DENSITY, "0"), ACTIVE), **said)


def test_a_promotion_is_recorded_with_who_promoted_and_why(words):
    told = promotion(judged(Draft().type(DENSITY, "1.03"), ACTIVE), name=" P. Jansen ", reason="density remeasured")
    (word,) = words_of(told, as_active(words), name="login", at=NOW, site=SITE)
    assert word.kind is Kind.PLAN_REVISED
    assert (word.payload["name"], word.payload["reason"]) == ("P. Jansen", "density remeasured")
    assert word.payload["plan"]["quantification"]["tissue_density_g_per_mL"] == 1.03
    assert word.payload["plan"]["quantification"]["trend"] == {"fit_points": 4}


# -- B beside A ----------------------------------------------------------------------------------------------------


def rows_of(table) -> dict[str, dict[str, str]]:
    return {
        row.cells[1].text: dict(zip(COLUMNS[2:], (cell.text for cell in row.cells[2:]), strict=True))
        for row in table.rows
        if not row.heading
    }


def test_a_draft_that_changes_nothing_differs_by_nothing(words):
    a = as_active(words)
    for row in rows_of(difference_table(a, as_draft(a, 1.0, {}), a.results[-1])).values():
        assert row["Δ (Gy)"].startswith(("= 0", "— ", "0"))
    assert changes_in_words(a, as_draft(a, 1.0, {}))[0].text.startswith("=")


def test_the_table_tells_a_b_and_their_difference_and_keeps_bounds_as_they_are(words):
    a = as_active(words)
    b = as_draft(a, 1.1, {})
    last = b.results[-1]
    bound = replace(last.volumes["Tumour 2"], status=VolumeStatus.LOWER_BOUND, message="3 % at the noise floor")
    b = replace(b, results=(*b.results[:-1], replace(last, volumes={**last.volumes, "Tumour 2": bound})))
    rows = rows_of(difference_table(a, b, a.results[-1]))
    assert rows["Tumour 1"]["A (Gy)"] == "118 ± 10"
    assert rows["Tumour 1"]["Δ (Gy)"] == "+11.8"
    assert rows["Tumour 1"]["Δ (%)"] == "+10.0 %"
    assert rows["Tumour 1"]["± of Δ"] == "± 1.0…15"
    assert rows["Tumour 2"]["B (Gy)"].startswith("≥")
    assert rows["Tumour 2"]["Δ (Gy)"] == "— B is a lower bound"
    assert (rows["Tumour 2"]["Δ (%)"], rows["Tumour 2"]["± of Δ"]) == ("", "")
    assert rows["Tumour 3"]["Δ (Gy)"] == "— A and B are not evaluable"
    assert any("Tumour 2: evaluable in A, a lower bound in B" in cell.text for cell in changes_in_words(a, b))
    assert len(difference_table(a, b, None).rows) == 4 * 7


def test_flags_that_change_are_told_in_words(words):
    a = as_active(words)
    last = a.results[-1]
    unflagged = replace(last.trend["Tumour 2"], flagged=False, deviation_pct=-8.2)
    other = replace(last, trend={**last.trend, "Tumour 2": unflagged})
    b = as_draft(replace(a, results=(*a.results[:-1], other)), 1.0, {})
    (told,) = changes_in_words(a, b)
    assert "RHA F4 Tumour 2: flagged in A" in told.text
    assert "not flagged in B (−8.2 %)" in told.text


def test_the_largest_change_of_every_volume_is_told_before_promoting(words):
    a = as_active(words)
    told = {cell.text.split(":")[0]: cell.text for cell in largest_in_words(a, as_draft(a, 1.1, {}))}
    assert told["Tumour 1"] == "Tumour 1: +11.8 Gy (+10.0 %), after RHA F4"
    assert "not evaluable" in told["Tumour 3"]


def test_numbers_of_another_draft_are_never_told_as_those_of_this_one(words):
    a = as_active(words)
    mine = as_draft(a, 1.1, {THRESHOLD: 5})
    now = {"unlocked": True, "faulty": False, "now": NOW}
    fresh = Drafted(latest=mine, shown=mine, shown_at=NOW, wanted={THRESHOLD: 5})
    assert draft_state(a, fresh, **now).sign == "✓"
    assert "plan-1.1" in draft_state(a, fresh, **now).word
    computing = replace(mine, overrides={THRESHOLD: 6}, computing="fitting R2* of gre F2 (3 of 5)")
    assert not is_computed(computing)
    for other in (
        replace(fresh, wanted={THRESHOLD: 6}),
        replace(fresh, latest=computing),
        replace(fresh, refused="they do not go together"),
        replace(fresh, shown=replace(mine, loaded={}), latest=mine),
    ):
        told = draft_state(a, other, **now)
        assert told.sign != "✓"
        assert "OLD" in told.word
    assert "(3 of 5)" in draft_state(a, replace(fresh, latest=computing), **now).word
    assert "OLD" in draft_state(a, fresh, unlocked=True, faulty=True, now=NOW).word
    assert draft_state(a, fresh, unlocked=False, faulty=False, now=NOW).sign == "‖"


def test_the_difference_map_is_hatched_where_either_map_has_no_value_and_says_what_it_is(finished):
    a = as_active(finished)
    b = as_draft(a, 1.1, {})
    last = b.results[-1]
    dose = last.maps.dose
    voxel = (22, 55, 40)
    reason = dose.reason.copy()
    reason[voxel] = Reason.POOR_FIT
    values = dose.values.copy()
    values[voxel] = np.nan
    hole = replace(last, maps=replace(last.maps, dose=replace(dose, values=values, reason=reason)))
    shown = difference_images(
        a, replace(b, results=(*b.results[:-1], hole)), None, voxel=voxel, maximum_gy=10.0, old=False
    )
    axial = shown.planes[0]
    assert axial.geometry.cut(reason == Reason.POOR_FIT, voxel[0]).sum() == 1
    assert axial.unevaluable[axial.geometry.cut(reason == Reason.POOR_FIT, voxel[0])].all()
    known = np.isfinite(axial.dose)
    expected = axial.geometry.cut(b.results[-1].maps.dose.values - a.results[-1].maps.dose.values, voxel[0])
    assert np.array_equal(axial.dose[known], expected[known])
    assert all(plane.caption == "B − A after RHA F4" for plane in shown.planes)
    assert shown.legend.minimum_gy == -shown.legend.maximum_gy
    assert "not evaluable" in shown.probe
    old = difference_images(a, b, None, voxel=voxel, maximum_gy=10.0, old=True)
    assert "OLD" in old.planes[0].caption
    assert difference_images(a, None, None, voxel=None, maximum_gy=10.0, old=False).planes == ()


# -- the dialog ----------------------------------------------------------------------------------------------------


class StandIn:
    """An engine that computes nothing: the test tells what it found."""

    def __init__(self, path: Path, on_snapshot, on_refused) -> None:
        self.tell, self.refuse = on_snapshot, on_refused
        self.laid_over: list[dict[str, object]] = []
        self.failure = ""
        self.running = False

    def start(self) -> None:
        self.running = True

    def lay_over(self, overrides) -> None:
        self.laid_over.append(dict(overrides))

    def stop(self) -> None:
        self.running = False


@pytest.fixture(scope="module")
def panel(qapp, words):
    """The dialog over a window, unlocked; what was said; its engines."""
    window, said, engines, refusal = QMainWindow(), [], [], [""]
    window.resize(1366, 768)

    def make(*asked):
        engines.append(StandIn(*asked))
        return engines[-1]

    def operate(operation):
        if not refusal[0]:
            said.append(operation)
        return refusal[0]

    dialog = TuningDialog(window, Services(operate=operate, settings=SITE, record=Path("t.holmia")), make)
    window.show()
    dialog.receive(as_active(words), NOW)
    dialog.show()
    QCoreApplication.processEvents()
    yield dialog, said, engines, refusal
    dialog.close()
    window.close()
    window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def unlocked(panel):
    dialog, _, engines, _ = panel
    dialog.lock_row.field.setText("P. Jansen")
    QTest.keyClick(dialog.lock_row.field, Qt.Key.Key_Return)
    assert dialog.unlocked
    yield dialog, engines[-1]
    dialog.reset()
    dialog.lock()
    assert dialog.ended.wait(10.0)


def test_a_locked_panel_shows_every_value_and_lets_none_be_changed(panel):
    dialog, _, engines, _ = panel
    before = len(engines)
    assert not dialog.unlocked
    for path, row in dialog.settings.rows.items():
        assert not row.editor.isEnabled()
        assert row.text() == ACTIVE.text(path), path
    dialog.type(THRESHOLD, "5")
    dialog.lock_row.field.setText("P")
    QTest.keyClick(dialog.lock_row.field, Qt.Key.Key_Return)
    assert not dialog.unlocked
    assert not dialog.lock_row.unlock.isEnabled()
    assert "at least 3" in dialog.lock_row.state.whole
    assert dict(dialog.draft.typed) == {}
    assert len(engines) == before, "nothing is computed for a locked panel"


def test_what_the_editors_give_is_what_set_gives_and_the_engine_gets_it(unlocked, changed):
    dialog, engine = unlocked
    assert engine.laid_over == [{}]
    for path in (THRESHOLD, FIT, "quantification.statistics.bed", "quantification.statistics.v_x_Gy", RELAXIVITY):
        editor, text = dialog.settings.rows[path].editor, changed[path]
        if isinstance(editor, QLineEdit):
            editor.selectAll()
            QTest.keyClicks(editor, text)
            QTest.keyClick(editor, Qt.Key.Key_Return)
        elif isinstance(editor, QComboBox):
            editor.setCurrentText(text)
        else:
            QTest.keyClick(editor, Qt.Key.Key_Space)
        assert engine.laid_over[-1][path] == parse_set([f"{path}={text}"])[path]
        assert "changed" in dialog.settings.rows[path].verdict.text()
        assert dialog.settings.rows[path].verdict.text().startswith("Δ")
    assert parse_set(shlex.split(dialog.command.text())[1::2]) == engine.laid_over[-1]
    QTest.mouseClick(dialog.settings.rows[FIT].reset, Qt.MouseButton.LeftButton)
    assert FIT not in engine.laid_over[-1]
    dialog.reset()
    assert engine.laid_over[-1] == {}


def test_a_value_that_cannot_be_used_is_refused_while_typing_and_not_computed(unlocked):
    dialog, engine = unlocked
    before = list(engine.laid_over)
    editor = dialog.settings.rows[THRESHOLD].editor
    editor.selectAll()
    QTest.keyClicks(editor, "-5")
    assert "expected a number" in dialog.settings.rows[THRESHOLD].verdict.text()
    QTest.keyClick(editor, Qt.Key.Key_Return)
    assert engine.laid_over == before
    assert not dialog.promote_button.isEnabled()
    assert "cannot be used" in dialog.comparison.draft.whole


def test_snapshots_cross_to_the_window_and_older_drafts_are_marked_until_theirs_come(unlocked, qtbot):
    dialog, engine = unlocked
    dialog.type(FIT, "log_linear")
    mine = as_draft(dialog.snapshot, 1.1, engine.laid_over[-1])
    threading.Thread(target=engine.tell, args=(mine,)).start()
    qtbot.waitUntil(lambda: dialog.drafted.shown is mine, timeout=5000)
    assert dialog.comparison.draft.whole.startswith("✓ B: draft")
    assert "B (Gy)" in dialog.comparison.table.table.columns
    dialog.type(FIT, "arlo")
    assert "OLD" in dialog.comparison.draft.whole
    assert "B, OLD (Gy)" in dialog.comparison.table.table.columns
    threading.Thread(target=engine.refuse, args=(DraftRefused(text="no", overrides=engine.laid_over[-1]),)).start()
    qtbot.waitUntil(lambda: "refused: no" in dialog.comparison.draft.whole, timeout=5000)


def test_promoting_needs_the_drafts_own_doses_a_reason_and_leaves_a_refused_draft_as_it_is(panel, unlocked):
    (dialog, said, _, refusal), engine = panel, unlocked[1]
    dialog.type("quantification.dose_model", "kernel")
    QTest.mouseClick(dialog.promote_button, Qt.MouseButton.LeftButton)
    dialog.page.reason.setText("kernel compared with the PET")
    assert not dialog.page.record.isEnabled(), "B was not seen yet"
    dialog.take(as_draft(dialog.snapshot, 1.05, engine.laid_over[-1]))
    assert dialog.page.record.isEnabled()
    assert "kernel" in dialog.page.values.table.rows[0].cells[0].text
    assert "Gy" in dialog.page.doses.table.rows[0].cells[0].text
    refusal[0] = "The disk is full."
    QTest.keyClick(dialog.page.reason, Qt.Key.Key_Return)
    assert said == []
    assert "disk is full" in dialog.outcome.text()
    assert dialog.judged.overrides
    refusal[0] = ""
    QTest.keyClick(dialog.page.reason, Qt.Key.Key_Return)
    (operation,) = said
    assert isinstance(operation, RevisePlan)
    assert (operation.name, operation.reason) == ("P. Jansen", "kernel compared with the PET")
    assert operation.plan["quantification"]["dose_model"] == "kernel"
    assert not dialog.judged.overrides, "the draft empties"
    assert engine.laid_over[-1] == {}


def test_closing_ends_the_engine_and_what_was_typed_stays_marked(unlocked):
    dialog, engine = unlocked
    dialog.type(FIT, "arlo")
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()
    assert not dialog.unlocked
    assert dialog.ended.wait(10.0)
    assert not engine.running
    assert not any(thread.name == "holmia-draft-ending" for thread in threading.enumerate())
    dialog.take(as_draft(dialog.snapshot, 1.0, {}))
    dialog.show()
    assert "changed" in dialog.settings.rows[FIT].verdict.text()
    assert not dialog.settings.rows[FIT].editor.isEnabled()
    dialog.draft = Draft()


def test_every_part_is_reached_with_the_keyboard(unlocked):
    dialog, _ = unlocked
    reached, widget = set(), dialog.search
    dialog.activateWindow()
    for _ in range(2000):
        widget = widget.nextInFocusChain()
        if widget.isEnabled() and widget.isVisible() and widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
            reached.add(widget)
    wanted = {row.editor for row in dialog.settings.rows.values()}
    wanted |= {dialog.lock_row.lock, dialog.close_button, dialog.comparison.fraction, dialog.comparison.table}
    assert wanted <= reached
    dialog.search.setText("thresh")
    assert dialog.settings.rows[THRESHOLD].editor.isVisible()
    assert not dialog.settings.rows[DENSITY].editor.isVisible()
    dialog.search.clear()
