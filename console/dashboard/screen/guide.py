"""Where the procedure stands, in five steps and one sentence. It states facts: it never tells to inject or to stop."""

from __future__ import annotations

from dataclasses import dataclass, replace

from console.dashboard.screen import formatting
from console.dashboard.screen.model import Guide, GuideStep, Progress, State, Tone
from console.dashboard.screen.room_time import room_clock
from console.dashboard.screen.series import series_words
from console.operations import under_way
from console.snapshot import Binding, Snapshot
from dicom_listener.images import SeriesState, SeriesStatus
from quantify.findings import FractionStatus, Injection

_DONE = State(sign="✓", word="done", tone=Tone.GOOD)
_CURRENT = State(sign="▶", word="now", tone=Tone.ACTIVE)
_CAUTION = State(sign="!", word="attention", tone=Tone.CAUTION)
_TO_DO = State(sign="○", word="to do", tone=Tone.MUTED)
_SETUP, _REFERENCE, _INJECT, _ACQUIRE, _REVIEW = range(5)


@dataclass(frozen=True, kw_only=True)
class _Place:
    """The current step, what there is to say, and whether it is no ordinary course."""

    step: int
    sentence: str
    state: State = _CURRENT
    series: SeriesState | None = None
    """The series that the sentence is about: its grid is shown."""


def build_guide(snapshot: Snapshot) -> Guide:
    """The five steps with exactly one current, what is waited for, and the grid of the series in question."""
    running = under_way(snapshot)
    place = _where(snapshot) if running is None else _during(snapshot, running, _where(snapshot))
    state, sentence = place.state, place.sentence
    if snapshot.damage is not None:
        # What exactly is wrong stands in its alarm.
        state, sentence = _CAUTION, f"treatment file damaged, only its sound part is shown · {sentence}"
    if snapshot.closed is not None and place.step != _REVIEW:
        sentence = f"{_closed(snapshot)} · {sentence}"
    upcoming = running or _next_injection(snapshot)
    inject = f"Inject {upcoming.label}" if upcoming is not None else "Inject"
    words = ("Setup", "Reference", inject, "Acquire", "Review")
    steps = tuple(
        GuideStep(
            number="①②③④⑤"[i],
            words=word,
            state=state if i == place.step else _DONE if i < place.step else _TO_DO,
            current=i == place.step,
        )
        for i, word in enumerate(words)
    )
    return Guide(steps=steps, sentence=sentence, progress=_progress(snapshot, place.series))


def _where(snapshot: Snapshot) -> _Place:
    if snapshot.plan is None and not snapshot.injections:
        return _Place(step=_SETUP, sentence="waiting for a treatment plan")
    before = _ACQUIRE if _has_reference(snapshot) else _REFERENCE
    arriving = _latest_arriving(snapshot)
    if arriving is not None:
        sentence = f"{_naming(snapshot, arriving)} arriving{_at(snapshot, _position_of(snapshot, arriving))}"
        return _Place(step=before, sentence=sentence, series=arriving)
    if snapshot.restored:
        return _Place(
            step=_ACQUIRE if snapshot.results else before,
            sentence=f"results restored after a restart, {snapshot.restored}",
            state=_CAUTION,
        )
    if snapshot.computing:
        return _Place(step=before, sentence=f"computing: {snapshot.computing}")
    return _trouble(snapshot) or _waiting(snapshot)


def _during(snapshot: Snapshot, running: Injection, place: _Place) -> _Place:
    """While an injection is under way that is said first; what arrives or is computed meanwhile comes after it."""
    parts = [_which(snapshot, running.position)]
    if running.planned_mbq is not None:
        parts.append(f"{formatting.activity(running.planned_mbq)} planned")
    told = ", ".join(part for part in parts if part)
    sentence = f"● {running.label} under way since {room_clock(snapshot, running.started_at)}"
    sentence += f" ({told})" if told else ""
    if not _has_reference(snapshot):
        # No step is called done that is not.
        return replace(place, sentence=f"{sentence} · {place.sentence}", state=_CAUTION)
    if place.series is not None or snapshot.computing or snapshot.restored or place.state is _CAUTION:
        sentence = f"{sentence} · {place.sentence}"
    return replace(place, step=_INJECT, sentence=sentence)


def _closed(snapshot: Snapshot) -> str:
    if snapshot.closed is None:
        return ""
    by, at = snapshot.closed
    return f"✓ treatment closed {room_clock(snapshot, at)} by {by or 'nobody named'}"


def _has_reference(snapshot: Snapshot) -> bool:
    """Results of an earlier console may stand before the reference has been read anew."""
    return snapshot.reference is not None or any(r.status is not FractionStatus.FAILED for r in snapshot.results)


def _trouble(snapshot: Snapshot) -> _Place | None:
    """The latest series, if it was to show the present state and cannot: incomplete, or refused."""
    binding, series = _latest_of_holmium(snapshot)
    if binding is None or series is None:
        return None
    happened = [i for i in snapshot.injections if i.time is not None]
    own = (binding.position, binding.fraction) if binding.position is not None else None
    if happened and own != happened[-1].key:
        return None  # an injection has happened since, and its own series is what is waited for
    usable = any(r.key == own and r.status is not FractionStatus.FAILED for r in snapshot.results)
    if usable or (own is None and _has_reference(snapshot)):
        return None  # a repeat: another series serves
    step = _REFERENCE if own is None else _ACQUIRE
    name = "reference series" if own is None else f"series {binding.position} F{binding.fraction}"
    which = _which(snapshot, binding.position)
    at = f" · {which}" if which else ""
    if series.status is SeriesStatus.INCOMPLETE:
        missing = series.reason.removeprefix("incomplete: ") or f"{series.received} of {series.expected} images"
        consequence = "no dose" if own is not None else "not used"
        sentence = f"{name} incomplete: {missing} · {consequence}{at}"
        return _Place(step=step, sentence=sentence, state=_CAUTION, series=series)
    if binding.role == "refused":
        why = binding.why or series.holmium_refusal or "cause unknown"
        sentence = f"{name} refused: {why} · no dose{at}"
        return _Place(step=step, sentence=sentence, state=_CAUTION)
    return None


def _latest_of_holmium(snapshot: Snapshot) -> tuple[Binding | None, SeriesState | None]:
    """The latest series that was meant as reference or fraction: anatomy and localisers come in between."""
    bindings = {binding.series_key: binding for binding in snapshot.bindings}
    meant = [
        (bindings[series.key], series)
        for series in snapshot.series
        if series.key in bindings
        and (
            bindings[series.key].role in ("reference", "fraction", "refused")
            or (bindings[series.key].role == "unbound" and series.holmium_refusal is None)
        )
    ]
    return max(meant, key=lambda both: both[1].last_seq, default=(None, None))


def _waiting(snapshot: Snapshot) -> _Place:
    if snapshot.closed is not None:
        return _Place(step=_REVIEW, sentence=f"{_closed(snapshot)}{_counts(snapshot)}")
    if not _has_reference(snapshot):
        first = snapshot.injections[0] if snapshot.injections else None
        if first is not None and first.time is not None and all(b.role != "reference" for b in snapshot.bindings):
            return _Place(
                step=_REFERENCE,
                sentence=f"no reference series was acquired before injection {first.label}: no dose can be computed",
                state=_CAUTION,
            )
        return _Place(step=_REFERENCE, sentence="waiting for the reference series (before the first injection)")
    upcoming = _next_injection(snapshot)
    if upcoming is None or snapshot.complete:
        return _Place(step=_REVIEW, sentence=_review(snapshot))
    parts = [_which(snapshot, upcoming.position)]
    if upcoming.time is not None:
        parts.append(f"injected {room_clock(snapshot, upcoming.time)}")
        return _Place(step=_ACQUIRE, sentence=f"waiting for series {upcoming.label} ({', '.join(filter(None, parts))})")
    if upcoming.planned_mbq is not None:
        parts.append(f"{formatting.activity(upcoming.planned_mbq)} planned")
    given = ", ".join(part for part in parts if part)
    return _Place(step=_INJECT, sentence=f"waiting for injection {upcoming.label}{f' ({given})' if given else ''}")


def _review(snapshot: Snapshot) -> str:
    return f"every planned fraction has a result or an error{_counts(snapshot)}"


def _counts(snapshot: Snapshot) -> str:
    """`` (1 failed, 2 provisional)``; empty where there is neither."""
    failed = sum(r.status is FractionStatus.FAILED for r in snapshot.results)
    provisional = sum(r.status is FractionStatus.PROVISIONAL for r in snapshot.results)
    said = [f"{count} {word}" for count, word in ((failed, "failed"), (provisional, "provisional")) if count]
    return f" ({', '.join(said)})" if said else ""


def _next_injection(snapshot: Snapshot) -> Injection | None:
    """The injection that is waited for, or being imaged, else the next planned one."""
    done = {result.key for result in snapshot.results}
    if snapshot.awaited is not None:
        return next((i for i in snapshot.injections if i.key == snapshot.awaited), None)
    return next((i for i in snapshot.injections if i.key not in done and i.time is None and not i.aborted), None)


def _which(snapshot: Snapshot, position: str | None) -> str:
    """``position 1/2``: which of the treatment's injection positions, in the order of the plan."""
    positions = list(dict.fromkeys(i.position for i in snapshot.injections))
    return f"position {positions.index(position) + 1}/{len(positions)}" if position in positions else ""


def _at(snapshot: Snapshot, position: str | None) -> str:
    which = _which(snapshot, position)
    return f" ({which})" if which else ""


def _latest_arriving(snapshot: Snapshot) -> SeriesState | None:
    """Of several, one that may hold holmium: its phase images or a localiser may arrive beside it."""
    arriving = [s for s in snapshot.series if s.status is SeriesStatus.ARRIVING]
    return max(arriving, key=lambda s: (s.holmium_refusal is None, s.last_seq), default=None)


def _binding_of(snapshot: Snapshot, series: SeriesState) -> Binding | None:
    return next((b for b in snapshot.bindings if b.series_key == series.key), None)


def _position_of(snapshot: Snapshot, series: SeriesState) -> str | None:
    """The position that an arriving series is expected to show; None for what cannot show any."""
    if series.holmium_refusal is not None or not _has_reference(snapshot):
        return None
    binding = _binding_of(snapshot, series)
    if binding is not None and binding.position is not None:
        return binding.position
    return snapshot.awaited[0] if snapshot.awaited is not None else None


def _naming(snapshot: Snapshot, series: SeriesState) -> str:
    return f"series {_name(snapshot, series)}"


def _name(snapshot: Snapshot, series: SeriesState) -> str:
    binding = _binding_of(snapshot, series)
    if binding is not None and binding.role not in ("unbound", "refused"):
        return series_words(series, binding)
    if series.holmium_refusal is None or (binding is not None and binding.role == "refused"):
        if binding is not None and binding.position is not None:
            return f"{binding.position} F{binding.fraction}"
        if not _has_reference(snapshot):
            return "reference"
        if snapshot.awaited is not None:
            position, fraction = snapshot.awaited
            return f"{position} F{fraction}"
    return series_words(series, None)


def _progress(snapshot: Snapshot, series: SeriesState | None) -> Progress | None:
    """The grid of a series, against the reference's: ``5 of 10 echoes × 38 of 40 slices``."""
    if series is None:
        return None
    keys = {b.series_key for b in snapshot.bindings if b.role == "reference"}
    reference = next((s for s in snapshot.series if s.key in keys and s.key != series.key), None)
    echoes, slices = len(series.echo_times_s), series.n_slices
    if reference is None or series.holmium_refusal is not None:
        grid = f"{echoes} echo{'' if echoes == 1 else 'es'} × {slices} slice{'' if slices == 1 else 's'} so far"
    else:
        grid = f"{echoes} of {len(reference.echo_times_s)} echoes × {slices} of {reference.n_slices} slices"
    # Of what no longer arrives the sentence says what is missing.
    more = f" · {grid}" if series.status is SeriesStatus.ARRIVING else ""
    return Progress(
        words=f"{_name(snapshot, series)}: {series.received} of {series.expected or '?'} images{more}",
        received=series.received,
        expected=series.expected,
    )
