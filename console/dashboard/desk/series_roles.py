"""What every series is taken for and why, what it may be said to be instead, and what would follow from that."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from console.dashboard.desk.series_questions import open_question_keys, series_name
from console.dashboard.screen.model import State, Tone
from console.dashboard.screen.room_time import room_clock, room_time
from console.operations import AssignSeries, Operation, Together
from console.snapshot import Binding, Snapshot
from dicom_listener.images import SeriesState, SeriesStatus
from quantify.findings import Injection

CONFIRMED = State(sign="✓", word="confirmed", tone=Tone.GOOD)
UNCONFIRMED = State(sign="?", word="unconfirmed", tone=Tone.CAUTION)
_ASKED = State(sign="?", word="question above", tone=Tone.CAUTION)
_NOTHING_TO_CONFIRM = State(sign="–", word="not used", tone=Tone.MUTED)
_ROLE_WORDS = {
    "reference": "reference",
    "repeatability": "repeat of the reference",
    "anatomy": "anatomy",
    "superseded": "set aside",
    "ignored": "not used",
    "refused": "refused",
    "unbound": "not known yet",
}
_TONES = {"superseded": Tone.CAUTION, "refused": Tone.ALERT, "ignored": Tone.MUTED, "unbound": Tone.MUTED}
_SIGNS = {"superseded": "▲", "refused": "✕", "ignored": "–", "unbound": "…"}


@dataclass(frozen=True, kw_only=True)
class SeriesRow:
    """One series of the list."""

    key: str
    acquired: str
    name: str
    images: str
    """Received of those expected."""
    echoes: str
    """Echoes × slices."""
    taken_for: State
    because: str
    confirmed: State


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One thing that a series may be said to be, and what will follow."""

    words: str
    operation: AssignSeries
    follows: str
    warning: str = ""
    """What speaks against it; it may be recorded all the same."""


def series_rows(snapshot: Snapshot) -> tuple[SeriesRow, ...]:
    """Every series, in order of acquisition."""
    bindings = bindings_of(snapshot)
    asked = open_question_keys(snapshot)
    return tuple(_row(snapshot, state, bindings.get(state.key), asked) for state in snapshot.series)


def bindings_of(snapshot: Snapshot) -> dict[str, Binding]:
    """What every series is, by its key."""
    return {binding.series_key: binding for binding in snapshot.bindings}


def _row(snapshot: Snapshot, state: SeriesState, binding: Binding | None, asked: frozenset[str]) -> SeriesRow:
    role = "unbound" if binding is None else binding.role
    words = role_words(binding)
    sign = _SIGNS.get(role, "")
    if state.status is SeriesStatus.INCOMPLETE:
        sign, words = "!", f"{words}, incomplete"
    elif state.status is SeriesStatus.ARRIVING:
        sign, words = "●", f"{words}, arriving"
    tone = Tone.CAUTION if state.status is SeriesStatus.INCOMPLETE else _TONES.get(role, Tone.NORMAL)
    return SeriesRow(
        key=state.key,
        acquired=_acquired(snapshot, state),
        name=state.description or state.protocol or "no description",
        images=f"{state.received}/{state.expected or '?'}",
        echoes=f"{len(state.echo_times_s)} × {state.n_slices}",
        taken_for=State(sign=sign, word=words, tone=tone),
        because=(binding.why if binding is not None and binding.why else "") or state.reason,
        confirmed=_confirmed(state, binding, asked),
    )


def _acquired(snapshot: Snapshot, state: SeriesState) -> str:
    """The time of day, with its day where that is not the latest series'."""
    latest = snapshot.latest_acquired_at
    if state.acquired_at is None or latest is None:
        return room_clock(snapshot, state.acquired_at)
    told = room_time(snapshot, state.acquired_at)
    same_day = told.date() == room_time(snapshot, latest).date()
    return room_clock(snapshot, state.acquired_at) if same_day else f"{told:%Y-%m-%d %H:%M}"


def _confirmed(state: SeriesState, binding: Binding | None, asked: frozenset[str]) -> State:
    if binding is not None and binding.confirmed:
        return CONFIRMED
    if state.key in asked:
        return _ASKED
    return UNCONFIRMED if confirmation(state, binding) is not None else _NOTHING_TO_CONFIRM


def role_words(binding: Binding | None) -> str:
    """What a series is taken for: ``RHA F2``."""
    if binding is None:
        return _ROLE_WORDS["unbound"]
    of = f"{binding.position} F{binding.fraction}" if binding.fraction is not None else f"{binding.position}"
    if binding.role == "fraction":
        return of
    if binding.role == "baseline":
        return f"new baseline of {binding.position}"
    words = _ROLE_WORDS.get(binding.role, binding.role)
    return f"{words} ({of})" if binding.role in ("superseded", "refused") and binding.position else words


# -- confirming ----------------------------------------------------------------------------------------------------


def confirmation(state: SeriesState, binding: Binding | None) -> AssignSeries | None:
    """The word that a complete series is what it is taken for; None where there is nothing to confirm."""
    if binding is None or binding.confirmed or state.status is not SeriesStatus.COMPLETE:
        return None
    if binding.role == "fraction":
        return AssignSeries(series_key=state.key, role="fraction", position=binding.position, fraction=binding.fraction)
    return AssignSeries(series_key=state.key, role=binding.role) if binding.role in ("reference", "anatomy") else None


def all_expected(snapshot: Snapshot) -> tuple[Together | None, str]:
    """One word that confirms every series but those that something is asked of; and which these are, in words."""
    bindings, asked = bindings_of(snapshot), open_question_keys(snapshot)
    confirmed: list[Operation] = []
    named = []
    for state in snapshot.series:
        word = confirmation(state, bindings.get(state.key))
        if word is not None and state.key not in asked:
            confirmed.append(word)
            named.append(f"{series_name(snapshot, state)} as {role_words(bindings[state.key])}")
    if not confirmed:
        return None, "Nothing waits to be confirmed."
    return Together(operations=tuple(confirmed)), f"Confirms {'; '.join(named)}."


# -- changing ------------------------------------------------------------------------------------------------------


def choices(snapshot: Snapshot, key: str) -> tuple[Choice, ...]:
    """All that a series may be said to be, with what will follow from each."""
    state = next((s for s in snapshot.series if s.key == key), None)
    if state is None:
        return ()
    operations = [(AssignSeries(series_key=key, role="reference"), "Reference, before the first injection")]
    for one in snapshot.injections:
        later = "" if one.time is not None else ", not injected yet"
        of = AssignSeries(series_key=key, role="fraction", position=one.position, fraction=one.fraction)
        operations.append((of, f"Fraction {one.label}{later}"))
    for position in dict.fromkeys(i.position for i in snapshot.injections):
        of = AssignSeries(series_key=key, role="baseline", position=position)
        operations.append((of, f"New baseline of {position}, after re-positioning"))
    operations.append((AssignSeries(series_key=key, role="anatomy"), "Anatomy, no dose"))
    operations.append((AssignSeries(series_key=key, role="ignore"), "Not used"))
    return tuple(
        Choice(
            words=words, operation=one, follows=_follows(snapshot, state, one), warning=_warning(snapshot, state, one)
        )
        for one, words in operations
    )


def automatic(snapshot: Snapshot, key: str) -> AssignSeries | None:
    """The word that takes back what was said of a series; None where nothing was."""
    return AssignSeries(series_key=key, role="automatic") if key in snapshot.assigned else None


def present_choice(snapshot: Snapshot, key: str) -> int:
    """The number of the choice that a series is taken for now; -1 where it is none of them."""
    binding = bindings_of(snapshot).get(key)
    if binding is None:
        return -1
    role = {"ignored": "ignore", "superseded": "ignore"}.get(binding.role, binding.role)
    of = (role, binding.position, binding.fraction) if role == "fraction" else None
    for number, choice in enumerate(choices(snapshot, key)):
        said = choice.operation
        if of is not None and (said.role, said.position, said.fraction) == of:
            return number
        if of is None and said.role == role and (role != "baseline" or said.position == binding.position):
            return number
    return -1


def _follows(snapshot: Snapshot, state: SeriesState, said: AssignSeries) -> str:
    bindings = bindings_of(snapshot)
    own = bindings.get(state.key)
    others = [b for b in snapshot.bindings if b.series_key != state.key]
    sentences = []
    if said.role == "reference":
        sentences.append("Every fraction will be computed against this series")
        sentences += [f"{_named(snapshot, b)} is set aside" for b in others if b.role == "reference"]
    elif said.role == "fraction":
        of = f"{said.position} F{said.fraction}"
        injected = any(i.key == (said.position, said.fraction) and i.time is not None for i in snapshot.injections)
        when = "" if injected else " once its injection is recorded"
        sentences.append(f"{of} will be computed from this series{when}")
        used = [
            b for b in others if b.role == "fraction" and (b.position, b.fraction) == (said.position, said.fraction)
        ]
        sentences += [f"{_named(snapshot, b)} is set aside" for b in used]
        sentences.append("a later series of the same window will not take its place by itself")
    elif said.role == "baseline":
        sentences.append(f"the holmium in this series counts as given before {said.position}: only what comes on top")
        sentences[-1] += f" is {said.position}'s"
    elif said.role == "anatomy":
        sentences.append("This series is looked at and drawn on; no dose is computed from it")
    else:
        sentences.append("This series is left out of everything; it stays in the file")
    lost = _lost(own, said)
    if lost:
        heir = next((b for b in others if b.role == "superseded" and (b.position, b.fraction) == lost), None)
        of = f"{lost[0]} F{lost[1]}"
        sentences.append(
            f"{of} has no series then" if heir is None else f"{of} is computed from {_named(snapshot, heir)}"
        )
    if own is not None and own.role == "reference" and said.role != "reference":
        sentences.append("without another reference nothing can be computed")
    text = "; ".join(sentences)
    return f"{text[0].upper()}{text[1:]}."


def _lost(own: Binding | None, said: AssignSeries) -> tuple[str, int] | None:
    """The injection that a series is used for now, if it will not be any more."""
    if own is None or own.role != "fraction" or own.position is None or own.fraction is None:
        return None
    of = (own.position, own.fraction)
    return None if said.role == "fraction" and (said.position, said.fraction) == of else of


def _warning(snapshot: Snapshot, state: SeriesState, said: AssignSeries) -> str:
    """What speaks against a role; a sentence, or "" where nothing does."""
    if said.role not in ("reference", "fraction", "baseline"):
        return ""
    told = []
    if state.holmium_refusal is not None:
        told.append(state.holmium_refusal)
    elif state.status is not SeriesStatus.COMPLETE:
        told.append(
            f"the series is not complete ({state.received} of {state.expected or '?'} images): no dose until then"
        )
    begun = None
    if state.acquired_at is not None:
        begun = state.acquired_at - timedelta(seconds=snapshot.clock_offset_s or 0.0)
    happened = [i for i in snapshot.injections if i.time is not None]
    ended = [i for i in happened if begun is not None and i.time is not None and i.time <= begun]
    told += _by_time(said, happened, ended) if begun is not None else []
    return "; ".join(told)


def _by_time(said: AssignSeries, happened: list[Injection], ended: list[Injection]) -> list[str]:
    if said.role == "reference" and ended:
        return [f"it was acquired after {ended[-1].label}: the holmium of that injection would be subtracted"]
    if said.role != "fraction":
        return []
    label = f"{said.position} F{said.fraction}"
    if any(i.label == label for i in happened) and all(i.label != label for i in ended):
        return [f"it was acquired before {label} had ended"]
    if ended and any(i.label == label for i in ended) and ended[-1].label != label:
        return [f"it was acquired after {ended[-1].label}, which it then shows too"]
    return []


def _named(snapshot: Snapshot, binding: Binding) -> str:
    state = next((s for s in snapshot.series if s.key == binding.series_key), None)
    return series_name(snapshot, state) if state is not None else "the other series"
