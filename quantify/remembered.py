"""Results of stages, kept as long as what they were made of stays: a changed setting redoes only what read it.

No stage declares which settings it depends on. It is handed settings that note what is read of them, and its result is
used again for other settings exactly when all of that is the same: then it would have taken the same way and read
nothing else. What cannot be noted, such as taking the settings as a whole, is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from config.settings import QuantificationSettings

Reads = dict[str, object]
"""Values by the dotted names of the fields that they were read from."""
Identity = tuple[object, ...]
"""What something was computed from."""
Result = TypeVar("Result")

_THREADS = 2


class NotedSettings:
    """A table of settings that notes every value that is read of it; its own tables do too.

    It stands in for the table where that is read by its fields, and only there: it has no other attribute, is no part
    of a set, and equals nothing.
    """

    __slots__ = ("_open", "_prefix", "_reads", "_table")

    def __init__(self, table: BaseModel, reads: Reads, prefix: str = "", opened: list[bool] | None = None) -> None:
        self._table, self._reads, self._prefix = table, reads, prefix
        self._open = [True] if opened is None else opened

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the field holds
        if name.startswith("_") or name not in type(self._table).model_fields:
            raise TypeError(f"{name!r} of the settings cannot be noted; read their fields one by one.")
        if not self._open[0]:
            raise TypeError(f"{name!r} is read after its stage has ended; a result must not keep the settings.")
        value = getattr(self._table, name)
        if isinstance(value, BaseModel):
            return NotedSettings(value, self._reads, f"{self._prefix}{name}.", self._open)
        self._reads[self._prefix + name] = value
        return value

    def __eq__(self, other: object) -> bool:
        raise TypeError("Settings that are noted cannot be compared as a whole; compare their fields.")

    def __hash__(self) -> int:
        raise TypeError("Settings that are noted cannot be hashed; give the fields that are needed.")

    def close(self) -> None:
        """Let nothing more be read: the stage has ended."""
        self._open[0] = False

    def note(self, reads: Reads) -> None:
        """Note what a stage within this one has read, now or when it was computed."""
        self._reads.update(reads)

    def noted_table(self) -> BaseModel:
        """The table itself, for whoever notes by other means."""
        return self._table


@dataclass(frozen=True, kw_only=True, eq=False)
class _Kept:
    inputs: Identity
    reads: Reads
    within: frozenset[Identity]
    """Stages that it asked for, which are kept with it."""
    result: object

    def serves(self, inputs: Identity, settings: QuantificationSettings) -> bool:
        return self.inputs == inputs and all(_value(settings, name) == value for name, value in self.reads.items())


class Remembered:
    """Results by stage, two of each. A stage is named by what it is for: such as ``("fit", series key)``.

    ``inputs`` are compared as they are: values by value, nouns that hold arrays by identity. They are kept with the
    result, so that no other object can take their identity.
    """

    def __init__(self) -> None:
        self._kept: dict[Identity, list[_Kept]] = {}
        self._used: set[Identity] = set()
        self._in_force: dict[Identity, _Kept] = {}
        self.are_in_force = False
        """Whether what is asked for is of the settings in force: then it stays, whatever else is tried beside it."""
        self.keeps_unused = False
        """Whether what is not asked for stays: a treatment that is read again asks for its later parts later."""
        self._asking = threading.local()
        """The stages that each of those asked for that are being computed in this thread."""
        self._locks: dict[Identity, threading.RLock] = {}
        """One for each stage: what two threads ask for is computed once, and is the same object to both."""

    def recall(
        self,
        stage: Identity,
        inputs: Identity,
        settings: QuantificationSettings,
        compute: Callable[[QuantificationSettings], Result],
    ) -> Result:
        """The stage's result for these inputs and settings, computed if it is not kept.

        `compute` reads settings from what it is given only, and whatever else it depends on is among the `inputs`. It
        may ask for other stages with these settings. What it raises is raised, and not kept.
        """
        with self._locks.setdefault(stage, threading.RLock()):
            return self._recall(stage, inputs, settings, compute)

    def together(self, tasks: Sequence[Callable[[], Result]]) -> list[Result]:
        """What each task gives, in their order; two at a time, each asking for stages of its own.

        What computes is to leave the interpreter's lock, or nothing is gained. The first that fails is raised, once
        all have ended.
        """
        asked: list[set[Identity]] = self._asking.__dict__.get("stages", [])

        def done(task: Callable[[], Result]) -> tuple[Result, set[Identity]]:
            own: set[Identity] = set()
            self._asking.stages = [own]
            return task(), own

        with ThreadPoolExecutor(max_workers=_THREADS) as pool:
            futures = [pool.submit(done, task) for task in tasks]
        results = []
        for future in futures:
            result, own = future.result()
            results.append(result)
            if asked:
                asked[-1].update(own)
        return results

    def _recall(
        self,
        stage: Identity,
        inputs: Identity,
        settings: QuantificationSettings,
        compute: Callable[[QuantificationSettings], Result],
    ) -> Result:
        asked: list[set[Identity]] = self._asking.__dict__.setdefault("stages", [])
        if asked:
            asked[-1].add(stage)
        of = settings
        if isinstance(settings, NotedSettings):
            of = cast("QuantificationSettings", settings.noted_table())
        found = self._found(stage, inputs, of)
        if found is None:
            reads: Reads = {}
            noted = NotedSettings(of, reads)
            asked.append(set())
            try:
                result = compute(cast("QuantificationSettings", noted))
            finally:
                noted.close()
                within = frozenset(asked.pop())
            found = _Kept(inputs=inputs, reads=reads, within=within, result=result)
        self._keep(stage, found)
        self._use(stage)
        if isinstance(settings, NotedSettings):
            settings.note(found.reads)
        return cast("Result", found.result)

    def _keep(self, stage: Identity, found: _Kept) -> None:
        """Keep what was asked for last, and one more: of the settings in force, else what was asked for before."""
        if self.are_in_force:
            self._in_force[stage] = found
        in_force = self._in_force.get(stage)
        others = [own for own in self._kept.get(stage, []) if own is not found]
        self._kept[stage] = [found, *sorted(others, key=lambda own: own is not in_force)[:1]]

    def _use(self, stage: Identity) -> None:
        if stage not in self._used:
            self._used.add(stage)
            for kept in self._kept.get(stage, []):
                for within in kept.within:
                    self._use(within)

    def knows(self, stage: Identity, inputs: Identity, settings: QuantificationSettings) -> bool:
        """Whether `recall` would compute nothing. It notes nothing: no result of a stage may hang on the answer."""
        of = settings
        if isinstance(settings, NotedSettings):
            of = cast("QuantificationSettings", settings.noted_table())
        return self._found(stage, inputs, of) is not None

    def reads(self) -> dict[Identity, frozenset[str]]:
        """What each stage read when it was last computed or used."""
        return {stage: frozenset(kept[0].reads) for stage, kept in self._kept.items()}

    def forget_unused(self) -> None:
        """Drop the stages that were not asked for since the last call: their series or injection is no more."""
        if self.keeps_unused:
            return
        self._kept = {stage: kept for stage, kept in self._kept.items() if stage in self._used}
        self._in_force = {stage: own for stage, own in self._in_force.items() if stage in self._used}
        self._locks = {stage: lock for stage, lock in self._locks.items() if stage in self._used}
        self._used = set()

    def _found(self, stage: Identity, inputs: Identity, settings: QuantificationSettings) -> _Kept | None:
        return next((own for own in self._kept.get(stage, []) if own.serves(inputs, settings)), None)


def _value(settings: QuantificationSettings, name: str) -> object:
    value: object = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value
