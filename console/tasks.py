"""What an engine's process can be asked to do, and what it tells besides snapshots (`console.engine_process`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

STOP, PAUSE, GO_ON, LAY_OVER, SPEED, JUMP = b"stop", b"pause", b"go on", b"lay over", b"speed", b"jump"
"""Orders."""


@dataclass(frozen=True, kw_only=True)
class Following:
    """Follow a file as the operator's console: what is shown and alarmed is recorded."""

    path: Path
    minimum_free_mb: float


@dataclass(frozen=True, kw_only=True)
class Replaying:
    """Feed a file's events with their own pauses, `speed` times faster (`console.replaying`); record nothing.

    With ``overrides`` it is a what-if: the same events with other settings.
    """

    path: Path
    speed: float
    overrides: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """Follow a file with settings laid over it (`EngineProcess.lay_over`), beside the engine in force; record nothing.

    Its snapshots have the draft's numbers before its maps, and no series (`console.draft`).
    """

    path: Path


@dataclass(frozen=True, kw_only=True)
class Verifying:
    """Compute everything again and hold it against what was shown: `Progress`, then a `console.verify.Verification`."""

    path: Path


@dataclass(frozen=True, kw_only=True)
class Computing:
    """Compute a file to its end, once: `Progress`, then the one snapshot (`console.computed`); record nothing.

    ``volumes`` chooses versions of volumes, by name: 1 is the first object that named it.
    """

    path: Path
    overrides: Mapping[str, object] = field(default_factory=dict)
    volumes: Mapping[str, int] = field(default_factory=dict)


Task = Following | Replaying | Tuning | Verifying | Computing


@dataclass(frozen=True, kw_only=True)
class Reached:
    """Where a replay stands: the last event that the latest snapshot knows, and the time of the treatment.

    After a jump the first one with the number that was asked for says that its snapshot has been told.
    """

    seq: int
    at: datetime
    ended: bool
    """Whether this is the file's end."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How many of a file's events have been read."""

    done: int
    of: int


@dataclass(frozen=True, kw_only=True)
class Refused:
    """What was asked cannot be done: why, as a sentence."""

    text: str
