"""Whole or nothing, at every step: what is staged appears together, or no trace of it is left."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from console.outputs.error import OutputError
from console.outputs.export_job import Job
from console.outputs.export_objects import _suffix
from console.outputs.export_staging import refuse_existing, staged
from console.outputs.exported import Exported
from console.outputs.identity import Identified


def fill(hidden: Path) -> None:
    (hidden / "rtdose").mkdir()
    for name in ("a.txt", "rtdose/b.txt", "z.txt"):
        (hidden / name).write_text(name)


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_what_is_staged_appears_under_its_names_and_only_at_the_end(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with staged(out) as hidden:
        fill(hidden)
        assert [path.name for path in out.iterdir()] == [hidden.name]
        assert hidden.name.startswith(".")
    assert everything_in(out) == ["a.txt", "rtdose", "rtdose/b.txt", "z.txt"]
    with staged(out) as hidden:
        (hidden / "more.txt").write_text("beside what is there")
    assert everything_in(out) == ["a.txt", "more.txt", "rtdose", "rtdose/b.txt", "z.txt"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_neither_files_nor_the_folders_that_were_made(
    failure: type[BaseException], tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()

    def begin_and_fail() -> None:
        with staged(tmp_path / "there" / "deep" / "out") as hidden:
            fill(hidden)
            raise failure

    with pytest.raises(failure):
        begin_and_fail()
    assert everything_in(tmp_path) == ["there"]


@pytest.mark.parametrize("fails_at", [0, 1, 2])
def test_a_move_that_fails_takes_back_those_before_it(
    fails_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, moved = Path.rename, []

    def fails(self: Path, target: Path) -> Path:
        if len(moved) == fails_at:
            moved.append(target)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        moved.append(target)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OutputError, match=r"Nothing was written to .*: Input/output error"), staged(tmp_path) as hidden:
        fill(hidden)
    assert everything_in(tmp_path) == []


def test_a_disk_that_does_not_take_it_durably_is_told_before_anything_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OutputError, match="No space left on device"), staged(tmp_path / "out") as hidden:
        fill(hidden)
    assert everything_in(tmp_path) == []


def test_all_that_exists_is_named_and_a_broken_link_exists(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match=r"one, .*two exist already and are never overwritten"):
        refuse_existing(tmp_path, ["one", "two", "three"])
    refuse_existing(tmp_path, ["three"])


def test_names_of_files_go_through_the_identity_as_their_contents_do(oblique: Exported) -> None:
    class Hiding(Identified):
        def text(self, text: str) -> str:
            return text.replace("RHA", "X1")

    result = oblique.snapshot.results[0]
    jobs = (cast(Job, SimpleNamespace(identity=own)) for own in (Identified("t"), Hiding("t")))
    suffixes = [_suffix(job, result) for job in jobs]
    assert suffixes == ["RHA_f1", "X1_f1"]
