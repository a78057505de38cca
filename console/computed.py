"""A treatment computed to the end of its file, once: for outputs, comparisons and what-ifs. Nothing is recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from console.engine import Engine
from console.reader import Reader
from console.session import replayed
from console.snapshot import Snapshot
from dicom_listener.images import StructureSet
from dicom_listener.record import Record


class NoSuchVersionError(ValueError):
    """There is no such version of a volume; the text names those that there are."""


def computed(
    record: Record,
    *,
    overrides: Mapping[str, object] | None = None,
    volumes: Mapping[str, int] | None = None,
    reader: Reader | None = None,
    progress: Callable[[int, int], None] | None = None,
    announce: Callable[[str], None] | None = None,
) -> Snapshot:
    """Compute what a file holds.

    Parameters
    ----------
    overrides
        Values by TOML path that are laid over plan and settings.
    volumes
        Versions of volumes by name: 1 is the first object that named it. Others are as the file has them.
    progress
        Called with how many events have been read, and of how many.
    announce
        Called with what is being computed, in words, and with "" when it is done.

    Raises
    ------
    config.errors.ConfigurationError
        If the overrides do not go together.
    NoSuchVersionError
        If there is no such version of a volume.
    """
    engine = Engine(overrides=overrides, reader=reader, damage=record.damage)
    if announce is not None:
        engine.announce_to(announce)
    total = record.head().seq
    for event in replayed(record, engine):
        if progress is not None:
            progress(event.seq, total)
    engine.choose(chosen_objects(engine.structure_sets, volumes or {}))
    engine.end()
    for _ in engine.advance():
        pass
    return engine.snapshot()


def chosen_objects(given: Sequence[StructureSet], volumes: Mapping[str, int]) -> dict[str, str]:
    """The object (SHA-256) that holds the n-th version of each of these volumes.

    Raises
    ------
    NoSuchVersionError
        If there is none.
    """
    chosen = {}
    for name, number in volumes.items():
        # As the window counts them: an object that names the volume and cannot be used for it is a version too.
        versions = [s.object_sha256 for s in given if name in _named(s)]
        if not 1 <= number <= len(versions):
            known = sorted({known for s in given for known in _named(s)})
            others = f"no object names it (there are: {', '.join(known) or 'none'})"
            there_are = f"it has {len(versions)}" if versions else others
            raise NoSuchVersionError(f"There is no version {number} of the volume {name!r}: {there_are}.")
        chosen[name] = versions[number - 1]
    return chosen


def _named(structures: StructureSet) -> set[str]:
    return {
        *(structure.name.strip() for structure in structures.structures),
        *(name.strip() for name, _ in structures.unusable),
    }
