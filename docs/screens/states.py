"""Every state that the window can show, as a picture each; the names say the state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

from console.dashboard.screen.model import Cell, Tone
from console.dashboard.screen.said import Said, SaidHere
from console.dashboard.screen.view import (
    Action,
    Details,
    Flip,
    Hover,
    PlaceCrosshair,
    Quantity,
    SelectFraction,
    ShowDetails,
    ShowQuantity,
    ToggleCompare,
    ToggleFlicker,
    ToggleProbe,
)
from console.dashboard.window import DashboardWindow
from console.operations import Operation, TapEvent, start_injection
from console.snapshot import Mode, Snapshot
from dicom_listener.events import Kind
from screens import changes
from screens.course import Moment
from screens.drawing import HEALTHY, Picture
from screens.replayed import replays

_NAME = "J. Jansen"
_LISTENING, _ROOM = HEALTHY
_MINUTE = timedelta(minutes=1)
Moments = Mapping[str, Moment]


def all_states(whole: Moments, two_positions: Moments, no_structures: Moments) -> Iterator[Picture]:
    """Every picture, from the moments of the three treatments."""
    yield from _as_it_goes(whole)
    yield from _said(whole)
    yield from _worth_of_results(whole)
    yield from _faults(whole)
    yield from _alarms(whole)
    yield from _views(whole)
    yield from replays(whole)
    yield _of("two_positions", two_positions["result_3"])
    yield _of("no_structures", no_structures["result_2"])


def _of(name: str, moment: Moment, **changed: object) -> Picture:
    picture = Picture(name=name, snapshot=moment.snapshot, at=moment.at, before=moment.before)
    return replace(picture, **changed)  # type: ignore[arg-type]


def _as_it_goes(m: Moments) -> Iterator[Picture]:
    """What the phantom gives as its treatment happens."""
    yield _of("setup", m["setup"])
    yield _of("plan_loaded", m["plan_loaded"])
    yield _of("reference_awaited", m["reference_awaited"])
    yield _of("reference_arriving", m["reference_arriving"])
    yield _of("before_the_first_injection", m["before_the_first_injection"])
    yield _of("waiting_for_the_series", m["injected_1"])
    yield _of("series_arriving", m["arriving_2"])
    yield _of("computing", m["computing_2"])
    yield _of("first_fraction", m["result_1"])
    yield _of("next_fraction", m["result_3"])
    yield _of("console", m["result_4"])
    yield _of("review", m["confirmed"], snapshot=_seen(m["confirmed"]))


def _said(m: Moments) -> Iterator[Picture]:
    """What a press on the bar shows."""
    running = m["under_way_2"]
    injection = next(i for i in running.snapshot.injections if i.under_way)
    begun = SaidHere(last=_word(start_injection(injection, injection.started_at or running.at), running))
    yield _of("injection_under_way", running, said=begun)
    tap = TapEvent(label="reflux")
    note = changes.event(running.snapshot, running.at, Kind.NOTE, {"label": "reflux", "text": "", "name": _NAME})
    tapped = changes.with_event(running.snapshot, note)
    yield _of("one_tap", running, snapshot=tapped, said=SaidHere(last=_word(tap, running)))
    yield _of("taken_back", running, said=SaidHere(taken_back=f"reflux {running.at:%H:%M}"))
    bars = (
        ("bar_start", _of("", m["result_1"])),
        ("bar_stop", _of("", running, said=begun)),
        ("bar_said", _of("", running, snapshot=tapped, said=SaidHere(last=_word(tap, running)))),
    )
    for name, picture in bars:
        yield replace(picture, name=name, part=lambda window: window.operator_bar)
    twice = m["result_2"]
    yield _of("two_series_of_one_injection", twice, snapshot=changes.repeated(twice.snapshot))


def _word(operation: Operation, moment: Moment) -> Said:
    return Said(operation=operation, at=moment.at, seq=moment.snapshot.head_seq)


def _worth_of_results(m: Moments) -> Iterator[Picture]:
    """What a result may be, other than current and whole; by `changes` where the phantom is too good."""
    last = m["result_4"]
    yield _of("stale_after_a_newer_injection", m["injected_4"])
    yield _of("stale_while_a_newer_series_arrives", m["arriving_3"])
    yield _of("stale_by_age", m["result_2"], later=45 * _MINUTE)
    yield _of("earlier_fraction", last, actions=(SelectFraction(number=2),))
    yield _of("provisional", m["result_2"], snapshot=changes.provisional(m["result_2"].snapshot))
    lost = [replace(own, snapshot=changes.not_evaluable(own.snapshot, "Tumour 3")) for own in (*last.before, last)]
    yield _of("not_evaluable", lost[-1], before=tuple(lost[:-1]))
    yield _of("lower_bound", last, snapshot=changes.lower_bound(last.snapshot, "Tumour 2"))
    yield _of("settings_changed", m["settings_changed"])
    yield _of("settings_changed_computing", m["settings_changed_computing"])


def _faults(m: Moments) -> Iterator[Picture]:
    """What went wrong with a series, the file or the machine; but for the first by `changes`."""
    third = m["result_3"]
    yield _of("incomplete_series", m["incomplete_series"])
    yield _of("refused_series", third, snapshot=changes.refused_series(third.snapshot))
    yield _of("failed_registration", third, snapshot=changes.failed_registration(third.snapshot))
    yield _of("restored_after_a_restart", m["restarted"])
    damage = "the chain of events breaks after event 1834; what follows it is not shown"
    damaged = replace(third.snapshot, damage=damage)
    yield _of("damaged_file", third, snapshot=changes.alarmed(damaged, damage=damage))
    down = changes.machine_alarmed(m["injected_3"].snapshot, m["injected_3"].at, listening=False, room=True)
    seen = (Cell(text="LISTENER DOWN: no images can arrive", tone=Tone.ALERT), _ROOM)
    yield _of("listener_down", m["injected_3"], snapshot=down, machine=seen)
    full = changes.machine_alarmed(m["injected_3"].snapshot, m["injected_3"].at, listening=True, room=False)
    yield _of(
        "disk_full", m["injected_3"], snapshot=full, machine=(_LISTENING, Cell(text="▲ 0 GB free", tone=Tone.ALERT))
    )
    offset = replace(m["result_2"].snapshot, clock_offset_s=74.0)
    yield _of("clock_offset", m["result_2"], snapshot=changes.alarmed(offset, clock_offset_s=74.0))
    failed = changes.storage_failed(m["arriving_3"].snapshot, m["arriving_3"].at)
    yield _of("storage_failed", m["arriving_3"], snapshot=failed)


def _alarms(m: Moments) -> Iterator[Picture]:
    second, last = m["arriving_3"], m["result_4"]
    yield _of("other_patient", second, snapshot=changes.other_patient(second.snapshot, second.at))
    yield _of("acknowledged_alarms", last, snapshot=_seen(last))
    yield _of("acknowledge_dialog", last, opened=_asking)


def _views(m: Moments) -> Iterator[Picture]:
    """What a reader may choose to look at."""
    last = m["confirmed"]
    probed = _hot_voxel(last.snapshot)
    views: dict[str, tuple[Action, ...]] = {
        "increment": (ShowQuantity(quantity=Quantity.INCREMENT),),
        "uncertainty": (ShowQuantity(quantity=Quantity.UNCERTAINTY),),
        "compare": (ToggleCompare(),),
        "registration_flicker_reference": (ToggleFlicker(),),
        "registration_flicker_fraction": (ToggleFlicker(), Flip()),
        "probe": (PlaceCrosshair(voxel=probed), ToggleProbe(), Hover(voxel=probed)),
        "histogram": (ShowDetails(details=Details.DVH),),
        "volumes": (ShowDetails(details=Details.VOLUMES),),
    }
    for name, actions in views.items():
        yield _of(name, last, actions=actions)
    yield _of("glance_mode", m["result_4"], opened=DashboardWindow.toggle_glance)
    yield _of("help", last, opened=lambda window: window.overlay.toggle())
    yield _of("demo", m["result_2"], mode=Mode.DEMO)


def _seen(moment: Moment) -> Snapshot:
    return changes.acknowledged(moment.snapshot, moment.at + timedelta(seconds=2), _NAME)


def _asking(window: DashboardWindow) -> None:
    window.acknowledge()
    window.acknowledging.name.setText(_NAME)


def _hot_voxel(snapshot: Snapshot) -> tuple[int, int, int]:
    """The middle of the first tumour."""
    tumour = next(volume for volume in snapshot.volumes if volume.name == "Tumour 1")
    weights = tumour.occupancy.reshape(tumour.occupancy.shape[0], -1).sum(axis=1)
    s = int(weights.argmax())
    r, c = divmod(int(tumour.occupancy[s].argmax()), tumour.occupancy.shape[2])
    return s, r, c
