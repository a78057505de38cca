"""What changed last, said in one line: a new result never takes the place of another silently."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from console.dashboard.screen import formatting
from console.dashboard.screen.model import News, State, Tone
from console.dashboard.screen.room_time import room_clock
from console.dashboard.screen.view import ViewState
from console.dashboard.screen.words import dose_words
from console.snapshot import PlanRevision, Snapshot
from quantify.findings import FractionResult, FractionStatus, VolumeStatistics, VolumeStatus
from quantify.model import Role

FRESH_S = 60.0
"""So long a line stays bright, unless it is dismissed before."""
_TUMOURS_TOLD = 2
_DIFFERENCES_TOLD = 3
_BETWEEN = "  |  "
_GRAVITY = (Tone.ALERT, Tone.CAUTION, Tone.GOOD, Tone.ACTIVE, Tone.MUTED)
_RANK = {tone: rank for rank, tone in enumerate(_GRAVITY)}
_PLAN_ALONE = tuple(
    f"plan.{key}"
    for key in ("patient", "injections", "vials", "residuals", "positions", "structures", "limits", "time_zone")
)
"""What of a plan is no setting of the computation."""
_NO_NEWS = News(text="no news yet", state=State(sign="", word="none", tone=Tone.MUTED))
_VIEW = ViewState()
_HELP = "A new or changed result, a failed one, or a change of settings. ± is one standard uncertainty (k = 1), Gy."


@dataclass(frozen=True, kw_only=True)
class Announcement:
    """A change of what is shown, and when it was seen."""

    text: str
    tone: Tone
    at: datetime | None
    lasting: bool = False
    """Stays bright until it is dismissed."""
    dismissed: bool = False
    about: tuple[str, int] | None = None
    """(position, fraction) of the result that is announced, the latest of several."""
    whole: str = ""
    """What `text` leaves out, where it leaves something out."""
    kept: tuple[Announcement, ...] = ()
    """Of several that were joined, those that last."""


def announced(
    before: Snapshot, after: Snapshot, now: datetime | None, standing: Announcement | None = None
) -> Announcement | None:
    """What is new in `after`; None if nothing that has to be said.

    A window that starts on a file that holds results says how many, once; the results of an earlier console are not
    news again when they are computed anew, unless a dose has changed. `standing` is what was announced last: where it
    lasts and nobody has dismissed it, what is new is joined to it.
    """
    parts = _on_record(after, now) if _is_start(before, after) else _changes(before, after, now)
    if not parts:
        return None
    if standing is not None and standing.lasting and not standing.dismissed:
        said = {own.text for own in parts}
        parts += [own for own in standing.kept or (standing,) if own.text not in said]
    return joined(parts, now)


def joined(parts: Sequence[Announcement], now: datetime | None) -> Announcement:
    """Several at once in one line: the gravest first, what lasts before what does not, the latest result first."""
    ordered = sorted(reversed(parts), key=lambda own: (_RANK.get(own.tone, len(_RANK)), not own.lasting))
    if len(ordered) == 1:
        return ordered[0]
    about = [own.about for own in parts if own.about is not None]
    return Announcement(
        text=_BETWEEN.join(own.text for own in ordered),
        tone=ordered[0].tone,
        at=now,
        lasting=any(own.lasting for own in ordered),
        about=about[-1] if about else None,
        whole="\n".join(own.whole or own.text for own in ordered),
        kept=tuple(own for own in ordered if own.lasting),
    )


def build_news(snapshot: Snapshot, news: Announcement | None, *, now: datetime | None, view: ViewState = _VIEW) -> News:
    """The line as it stands now: bright while fresh or lasting, muted afterwards, never gone."""
    if snapshot.restored:
        # No dismissing: what is on the screen is not yet what this console has computed.
        text = f"RESULTS RESTORED after a restart: {snapshot.restored}"
        if news is not None:
            text = f"{text}{_BETWEEN}{news.text}"
        return News(text=text, state=State(sign="◂", word="restored", tone=Tone.CAUTION), fresh=True, tooltip=_HELP)
    if news is None:
        return _NO_NEWS
    text = news.text
    latest = snapshot.results[-1].key if snapshot.results else None
    if news.about is not None and news.about == latest and view.selected not in (None, latest):
        text = f"press 0 to see it · {text}"  # first: what has no room is the end
    tooltip = "\n".join(part for part in (news.whole, _HELP) if part)
    told = news.tone is not Tone.MUTED  # what is on record is no news
    young = news.at is None or now is None or now - news.at < timedelta(seconds=FRESH_S)
    if news.dismissed or not told or not (news.lasting or young):
        return News(text=text, state=State(sign="☆", word="read", tone=Tone.MUTED), tooltip=tooltip)
    return News(text=text, state=State(sign="★", word="new", tone=news.tone), fresh=True, tooltip=tooltip)


def _is_start(before: Snapshot, after: Snapshot) -> bool:
    """Whether the window has just begun: nothing was known, or an earlier console's results stand there at once."""
    return bool(before.head_seq == 0 and not before.results) or bool(after.restored and not before.restored)


def _on_record(after: Snapshot, now: datetime | None) -> list[Announcement]:
    count = len(after.results)
    if not count and not after.revisions:
        return []
    text = f"{count} result{'' if count == 1 else 's'} on record"
    tone = Tone.MUTED
    if after.revisions:
        last = after.revisions[-1]
        when = room_clock(after, last.at)
        what = "settings" if any(_of_settings(own) for own in after.revisions) else "plan"
        text += f" · {what} changed {len(after.revisions)} ×, last {when} by {last.by}"
        text += f": {last.reason}" if last.reason else ""
        tone = Tone.CAUTION
    return [Announcement(text=text, tone=tone, at=now)]


def _changes(before: Snapshot, after: Snapshot, now: datetime | None) -> list[Announcement]:
    parts = []
    if after.revisions != before.revisions:
        parts += [_revised(own, after, now) for own in after.revisions[len(before.revisions) :]]
    if after.results is before.results:
        return parts
    earlier = {result.key: result for result in before.results}
    for number, result in enumerate(after.results):
        own = earlier.pop(result.key, None)
        if own is None:
            parts.append(_new(result, after.results[:number], now))
        elif own != result:
            # What was restored lacks what is not recorded: only a change that can be read is news then.
            said = _anew(own, result, now, silent=bool(before.restored))
            parts += [said] if said is not None else []
    for key, own in earlier.items():
        text = f"{own.label} WITHDRAWN: it has no result any more"
        parts.append(Announcement(text=text, tone=Tone.CAUTION, at=now, about=key))
    return parts


def _revised(revision: PlanRevision, after: Snapshot, now: datetime | None) -> Announcement:
    told = revision.differences[:_DIFFERENCES_TOLD]
    more = len(revision.differences) - len(told)
    what = "SETTINGS" if _of_settings(revision) else "PLAN"
    head = f"{what} CHANGED {room_clock(after, revision.at)} by {revision.by}"
    if revision.reason:
        head = promoted_words(after, revision).replace("settings changed", "SETTINGS CHANGED", 1)
    text = f"{head}: {'; '.join(told) or 'no value differs'}{f'; + {more} more' if more else ''}"
    whole = f"{head}: {'; '.join(revision.differences)}" if more else ""
    return Announcement(text=text, tone=Tone.CAUTION, at=now, lasting=True, whole=whole)


def promoted_words(snapshot: Snapshot, revision: PlanRevision) -> str:
    """``settings changed by J. Jansen at 10:31: calibration of March``."""
    return f"settings changed by {revision.by} at {room_clock(snapshot, revision.at)}: {revision.reason}"


def _of_settings(revision: PlanRevision) -> bool:
    """Whether it changed what doses are computed with; else the plan alone: injections, vials, volumes."""
    own = [one for one in revision.differences if not one.startswith(_PLAN_ALONE)]
    return bool(revision.reason or own or not revision.differences)


def _new(result: FractionResult, earlier: Sequence[FractionResult], now: datetime | None) -> Announcement:
    if result.status is FractionStatus.FAILED:
        return _failed(result, now)
    imaged = next((r for r in reversed(earlier) if r.status is not FractionStatus.FAILED), None)
    if imaged is None:
        head = f"first result {result.label}"
    else:
        same = imaged.position == result.position
        head = f"{imaged.label} → {f'F{result.fraction}' if same else result.label}"
    provisional = result.status is FractionStatus.PROVISIONAL
    head += " ! provisional" if provisional else ""
    if not result.volumes:
        head = f"{result.label}: dose maps, no volumes of interest"
    text, whole = _told(head, [(own, _gain(own, imaged)) for own in _volumes(result)])
    tone = Tone.CAUTION if provisional else Tone.GOOD
    return Announcement(text=text, tone=tone, at=now, about=result.key, whole=whole)


def _failed(result: FractionResult, now: datetime | None) -> Announcement:
    text = f"{result.label} FAILED: {result.error or 'cause unknown'}"
    return Announcement(text=text, tone=Tone.ALERT, at=now, about=result.key)


def _anew(before: FractionResult, after: FractionResult, now: datetime | None, *, silent: bool) -> Announcement | None:
    """A result computed anew: what each dose was and is; None where nothing changed that can be read, if `silent`."""
    if after.status is FractionStatus.FAILED:
        same = before.status is FractionStatus.FAILED and before.error == after.error
        return None if same else _failed(after, now)
    if before.status is FractionStatus.FAILED:
        text, whole = _told(f"{after.label}, failed before", [(own, dose_words(own)) for own in _volumes(after)])
        return Announcement(text=text, tone=Tone.CAUTION, at=now, about=after.key, whole=whole)
    changed = []
    for own in _volumes(after):
        was, now_is = dose_words(before.volumes.get(own.name)), dose_words(own)
        if was != now_is:
            changed.append((own, f"{was.removesuffix(' Gy') if now_is.endswith(' Gy') else was} → {now_is}"))
    gone = [name for name in before.volumes if name not in after.volumes]
    head = f"{after.label} recomputed"
    if before.status is not after.status:
        head += f", {before.status.value} → {after.status.value}"
    elif not changed and not gone and silent:
        return None
    text, whole = _told(head, changed)
    if gone:
        text += f" · without {', '.join(gone)}"
    elif not changed:
        text = f"{head}: every dose as before"
    tone = Tone.CAUTION if changed or gone or after.status is FractionStatus.PROVISIONAL else Tone.ACTIVE
    return Announcement(text=text, tone=tone, at=now, about=after.key, whole=whole)


def _volumes(result: FractionResult) -> list[VolumeStatistics]:
    """What the news tells of: tumours, then the healthy liver (without one, the liver)."""
    tumours = [own for own in result.volumes.values() if own.role is Role.TUMOUR]
    tumours.sort(key=lambda own: own.status is VolumeStatus.NOT_EVALUABLE)  # no dose comes after every dose
    for role in (Role.HEALTHY_LIVER, Role.LIVER):
        livers = [own for own in result.volumes.values() if own.role is role]
        if livers:
            return tumours + livers
    return tumours


def _told(head: str, volumes: Sequence[tuple[VolumeStatistics, str]]) -> tuple[str, str]:
    """The line, and the whole of it where there are more tumours than it tells."""
    tumours = [own for own, _ in volumes if own.role is Role.TUMOUR][:_TUMOURS_TOLD]
    told = [(own, words) for own, words in volumes if own.role is not Role.TUMOUR or own in tumours]
    more = len(volumes) - len(told)
    text = _line(head, told)
    return (f"{text} · + {more} more", _line(head, volumes)) if more else (text, "")


def _line(head: str, volumes: Iterable[tuple[VolumeStatistics, str]]) -> str:
    said = " · ".join(f"{own.name} {words}" for own, words in volumes)
    return f"{head}: {said}" if said else head


def _gain(own: VolumeStatistics, imaged: FractionResult | None) -> str:
    """``+21 ± 3 Gy`` since `imaged`; where the gain is not known on both sides, the dose itself with its own ±."""
    if own.status is VolumeStatus.NOT_EVALUABLE:
        return "not evaluable"
    interval = own.intervals.get("gain_gy")
    before = imaged.volumes.get(own.name) if imaged is not None else None
    # From a lower bound the gain would be anything below.
    known = own.status is VolumeStatus.OK and before is not None and before.status is VolumeStatus.OK
    usable = known and own.gain_gy is not None and interval is not None
    if not usable or own.gain_gy is None or interval is None:
        return dose_words(own)
    words = formatting.with_uncertainty(own.gain_gy, interval.u, "Gy")
    if words == formatting.NOT_KNOWN:
        return dose_words(own)
    return words if words.startswith("−") or own.gain_gy <= 0 else f"+{words}"
