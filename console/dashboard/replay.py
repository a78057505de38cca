"""Replays a treatment file in the window: paced, jumping, with other settings as a what-if. It records nothing."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from config.settings import DisplaySettings, Settings
from console.dashboard.app import Dashboard, create_application
from console.dashboard.desk.what_if import plans_of, what_if_faults, what_if_words
from console.dashboard.dialogs.background import Background, Work
from console.dashboard.dialogs.tool_dialog import Replayed, Services, ToolDialog
from console.dashboard.replay_feed import ReplayFeed, Told
from console.dashboard.run import WithEngine, failures, until_closed
from console.dashboard.screen.model import Cell, Tone
from console.dashboard.screen.news import Announcement
from console.dashboard.screen.replay_bar import REPLAY_KEYS, Jump, Played, outdated_words
from console.dashboard.screen.view import (
    JumpToPlace,
    LeaveWhatIf,
    OfTheTreatment,
    OpenTool,
    SetSpeed,
    StepTick,
    TogglePause,
    Tool,
)
from console.engine_process import EngineProcess
from console.operations import Operation
from console.outputs.wording import software_version
from console.snapshot import Mode, Snapshot
from console.tasks import Replaying
from console.timeline import Timeline, timeline_of
from console.versions import recorded_by, told
from dicom_listener.events import Event
from dicom_listener.record import Record

_NOTHING: Mapping[str, object] = {}
_TO_END = "jumping to the end, where a what-if is compared"


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """What the file tells without computing anything."""

    timeline: Timeline
    plans: tuple[Mapping[str, Any], ...]
    versions: tuple[str, ...]


class ReplayDashboard(WithEngine):
    """A dashboard that replays a file as it happened, or from any moment on; nothing of it is ever recorded.

    Parameters
    ----------
    path
        The treatment file; only read.
    speed
        Times faster than it happened.
    display
        Dose levels and colours of this site.
    settings
        The site's.
    overrides
        Laid over the recorded settings: a what-if.
    """

    def __init__(
        self,
        path: Path,
        *,
        speed: float,
        display: DisplaySettings | None = None,
        settings: Settings | None = None,
        overrides: Mapping[str, object] = _NOTHING,
    ) -> None:
        self._path = path
        self._plans: tuple[Mapping[str, Any], ...] = ()
        self._versions: tuple[str, ...] = ()
        words = what_if_words((), overrides)
        self.played = Played(name=path.name, speed=speed, overrides=dict(overrides), what_if=words)
        self.tools = {}
        self.services = Services(
            operate=self.operate,
            settings=settings or Settings(),
            record=path,
            mode=Mode.REPLAY,
            replayed=Replayed(
                at_end=lambda: self.at_end,
                go_to_end=self.go_to_end,
                compute_with=self.compute_with,
                overrides=lambda: self.played.overrides,
            ),
        )
        self._feed = ReplayFeed(self._receive)
        self._endings: list[threading.Thread] = []
        self.engine = self._made(target=None)
        self._pid: int | None = None
        """Of the engine's process when it was last asked to be somewhere: another one begins anew."""
        self.dashboard = Dashboard(
            mode=Mode.REPLAY,
            clock=lambda: self.played.at,
            on_operator_action=self._act,
            display=display,
            machine_status=self._status,
            outdated=self._outdated,
            played=lambda: self.played,
        )
        self._reading = Background(self.dashboard, "holmia-timeline")
        self._reading.told.connect(self._opened)
        self._reading.ended.connect(self._not_opened)
        self.dashboard.ticked.connect(self._tick)
        self.dashboard.window.may_close = self.tools_may_close

    # -- the engine --------------------------------------------------------------------------------------------

    def start(self, *, show: bool = True) -> None:
        """Start engine and window; what the timeline consists of is read meanwhile."""
        super().start(show=show)
        self._pid = self.engine.pid
        self._reading.start(_reading(self._path))

    def stop(self) -> None:
        """Stop everything; leaves no process behind."""
        self._reading.stop()
        self._feed.stop()
        super().stop()
        for ending in self._endings:
            ending.join()

    @property
    def at_end(self) -> bool:
        """Whether what is shown is the file's end."""
        return self.played.ended and self.played.jump is None

    def operate(self, _operation: Operation) -> str:
        """Refuse: a replay records nothing."""
        return f"This is a replay: nothing is recorded in {self._path.name}."

    def jump(self, seq: int, *, words: str = "") -> None:
        """Go to just after an event; until its snapshot is there, what is shown is marked as not current."""
        at = self.played.timeline.moment_of(seq)
        self.played = replace(self.played, jump=Jump(seq=seq, at=at, words=words), fault="")
        self._feed.expect(seq)
        self._pid = self.engine.pid
        self.engine.jump(seq)
        self.dashboard.redraw()

    def go_to_end(self) -> None:
        """Go to the file's end, where a what-if is compared."""
        if self.played.timeline.last_seq and not self.at_end:
            self.jump(self.played.timeline.last_seq, words=_TO_END)

    def compute_with(self, overrides: Mapping[str, object]) -> str:
        """Replay with these settings laid over the recorded ones, from the same moment on; "" or why it cannot be."""
        faults = what_if_faults(self._plans, overrides)
        if faults:
            return " ".join(faults)
        seq = self.played.jump.seq if self.played.jump is not None else self.played.seq
        what_if = what_if_words(self._plans, overrides)
        words = "computing with other settings" if overrides else "computing with the recorded settings"
        jump = Jump(seq=seq, at=self.played.timeline.moment_of(seq), words=words)
        self.played = replace(self.played, overrides=dict(overrides), what_if=what_if, jump=jump, fault="")
        # What it is computing may take a second to be left.
        ending = threading.Thread(target=self.engine.stop, name="holmia-replay-ending")
        ending.start()
        self._endings = [*(one for one in self._endings if one.is_alive()), ending]
        self.engine = self._made(target=seq)
        self.engine.start()
        self._pid = self.engine.pid
        self.engine.jump(seq)
        self.dashboard.redraw()
        return ""

    def _made(self, *, target: int | None) -> EngineProcess:
        source = self._feed.attach(target)
        task = Replaying(path=self._path, speed=self.played.speed, overrides=self.played.overrides)
        made = EngineProcess(task, on_snapshot=source.take, on_moment=source.take, on_told=source.take)
        made.pause(self.played.paused)
        return made

    # -- what it tells -----------------------------------------------------------------------------------------

    def _receive(self, heard: Told) -> None:
        jump = self.played.jump
        if heard.snapshot is None:
            if jump is not None:
                done = jump.done if heard.done is None else heard.done
                self.played = replace(self.played, jump=replace(jump, done=done, computing=heard.computing))
                self.dashboard.redraw()
            return
        if heard.reached is not None:
            own = heard.reached
            self.played = replace(self.played, seq=own.seq, at=own.at, ended=own.ended)
        if heard.elsewhere:
            self.played = replace(self.played, jump=None)
        if heard.elsewhere or heard.snapshot is not self.dashboard.snapshot:
            self.dashboard.receive(heard.snapshot, elsewhere=heard.elsewhere)
            self.tell_tools()
        else:
            self.dashboard.redraw()

    def _tick(self) -> None:
        if self.engine.pid != self._pid and not self.engine.ended:
            # It was started again, and begins with the first event: back to where it was, or was going.
            self.jump(self.played.jump.seq if self.played.jump is not None else self.played.seq)
        self.tell_tools()

    def _opened(self, opened: object) -> None:
        if not isinstance(opened, _Opened):
            return
        self._plans, self._versions = opened.plans, opened.versions
        words = what_if_words(self._plans, self.played.overrides)
        self.played = replace(self.played, timeline=opened.timeline, what_if=words)
        if opened.versions:
            said = " ".join(opened.versions)
            self.dashboard.announce(Announcement(text=said, tone=Tone.CAUTION, at=self.played.at, lasting=True))
        self.dashboard.redraw()

    def _not_opened(self, why: str) -> None:
        if why:
            self.played = replace(self.played, fault=f"There is no timeline: {why}")
            self.dashboard.redraw()

    def _status(self) -> Sequence[Cell]:
        versions = (
            Cell(text=f"! {one.partition('. ')[0].rstrip('.')}", tone=Tone.CAUTION, tooltip=one)
            for one in self._versions
        )
        told_of = Cell(text=f"replaying {self._path.name}: nothing is recorded", tone=Tone.MUTED)
        return (*failures(self.engine.failure), told_of, *versions)

    def _outdated(self, snapshot: Snapshot) -> str:
        if self.engine.ended:
            return self.engine.failure or "The engine has ended."
        return outdated_words(self.played, snapshot)

    # -- what is asked for -------------------------------------------------------------------------------------

    def open(self, tool: Tool) -> ToolDialog:
        """Show a dialog of a replay; the what-if is compared at the end of the file."""
        if tool is Tool.TUNING:
            self.go_to_end()
        return super().open(tool)

    def _act(self, action: OfTheTreatment) -> None:
        self.played = replace(self.played, fault="")
        line, jump = self.played.timeline, self.played.jump
        here = jump.seq if jump is not None else self.played.seq
        match action:
            case TogglePause():
                self.played = replace(self.played, paused=not self.played.paused)
                self.engine.pause(self.played.paused)
            case SetSpeed(speed=speed):
                self.played = replace(self.played, speed=speed)
                self.engine.set_speed(speed)
            case JumpToPlace(place=place) if line.seqs:
                self.jump(line.seq_at(place))
            case StepTick(by=by):
                tick = line.previous_tick(here) if by < 0 else line.next_tick(here)
                if tick is not None:
                    self.jump(tick.seq)
            case LeaveWhatIf():
                fault = self.compute_with({})
                self.played = replace(self.played, fault=fault)
            case OpenTool(tool=tool) if tool in REPLAY_KEYS:
                self.open(tool)
            case JumpToPlace() | OpenTool():
                pass
            case _:
                self.played = replace(self.played, fault=f"This is a replay: nothing is recorded in {self._path.name}.")
        self.dashboard.redraw()


def run_replay(path: Path, *, speed: float, settings: Settings, overrides: Mapping[str, object] = _NOTHING) -> int:
    """Replay a file as it happened, `speed` times faster and without its long waits, until the window is closed."""
    application = create_application(sys.argv)
    shown = ReplayDashboard(path, speed=speed, display=settings.display, settings=settings, overrides=overrides)
    return until_closed(application, shown)


def read_events(record: Record) -> list[Event]:
    """Every event that a file holds."""
    events: list[Event] = []
    while batch := record.events(events[-1].seq if events else 0):
        events += batch
    return events


def _reading(path: Path) -> Work:
    def work(_stopped: object) -> Any:  # noqa: ANN401
        with Record.salvage(path) as record:
            events = read_events(record)
            yield _Opened(
                timeline=timeline_of(events),
                plans=plans_of(events),
                versions=told(recorded_by(record), software_version()),
            )

    return work
