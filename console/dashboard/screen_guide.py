"""Where the procedure stands, in five steps and one sentence."""

from __future__ import annotations

from console.dashboard import formatting
from console.dashboard.screen_model import Guide, GuideStep, Progress, State, Tone
from console.dashboard.screen_tables import series_words
from console.snapshot import Snapshot
from dicom_listener.images import SeriesState, SeriesStatus
from quantify.findings import Injection

_DONE = State(sign="✓", word="done", tone=Tone.GOOD)
_CURRENT = State(sign="▶", word="now", tone=Tone.ACTIVE)
_TO_DO = State(sign="○", word="to do", tone=Tone.MUTED)


def build_guide(snapshot: Snapshot) -> Guide:
    """The five steps with exactly one current, what is waited for, and the progress of the arriving series."""
    current, sentence = _where(snapshot)
    upcoming = _next_injection(snapshot)
    inject = f"Inject {upcoming.label}" if upcoming is not None else "Inject"
    words = ("Setup", "Reference", inject, "Acquire", "Review")
    steps = tuple(
        GuideStep(
            number="①②③④⑤"[i],
            words=word,
            state=_CURRENT if i == current else _DONE if i < current else _TO_DO,
            current=i == current,
        )
        for i, word in enumerate(words)
    )
    return Guide(steps=steps, sentence=sentence, progress=_progress(snapshot))


def _next_injection(snapshot: Snapshot) -> Injection | None:
    """The injection that is waited for, or being imaged, else the next planned one."""
    done = {result.key for result in snapshot.results}
    if snapshot.awaited is not None:
        return next((i for i in snapshot.injections if i.key == snapshot.awaited), None)
    return next((i for i in snapshot.injections if i.key not in done and i.time is None and not i.aborted), None)


def _where(snapshot: Snapshot) -> tuple[int, str]:
    if snapshot.plan is None and not snapshot.injections:
        return 0, "waiting for a treatment plan"
    arriving = _latest_arriving(snapshot)
    if arriving is not None:
        return (3 if snapshot.reference is not None else 1), f"{_naming(snapshot, arriving)} arriving"
    if snapshot.reference is None:
        return 1, "waiting for the reference series (before the first injection)"
    if snapshot.computing:
        return 3, f"computing {snapshot.computing}"
    upcoming = _next_injection(snapshot)
    if upcoming is None or snapshot.complete:
        return 4, "every planned fraction has a result or an error"
    if upcoming.time is not None:
        return 3, f"waiting for series {upcoming.label}"
    planned = f" ({formatting.activity(upcoming.planned_mbq)} planned)" if upcoming.planned_mbq is not None else ""
    return 2, f"waiting for injection {upcoming.label}{planned}"


def _latest_arriving(snapshot: Snapshot) -> SeriesState | None:
    arriving = [s for s in snapshot.series if s.status is SeriesStatus.ARRIVING]
    return max(arriving, key=lambda s: s.last_seq, default=None)


def _naming(snapshot: Snapshot, series: SeriesState) -> str:
    binding = next((b for b in snapshot.bindings if b.series_key == series.key), None)
    if binding is not None and binding.role != "unbound":
        return f"series {series_words(series, binding)}"
    if series.holmium_refusal is None and snapshot.awaited is not None:
        position, fraction = snapshot.awaited
        return f"series {position} F{fraction}"
    return f"series {series_words(series, binding)}"


def _progress(snapshot: Snapshot) -> Progress | None:
    series = _latest_arriving(snapshot)
    if series is None:
        return None
    echoes = f"{len(series.echo_times_s)} echoes × {series.n_slices} slices so far"
    return Progress(
        words=f"{_naming(snapshot, series)}: {series.received} of {series.expected or '?'} images, {echoes}",
        received=series.received,
        expected=series.expected,
    )
