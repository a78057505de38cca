"""One listener and one console per treatment file; the lock dies with its process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dicom_listener.locks import FileLock, LockHeldError, lock_path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_lock_lies_beside_the_treatment_file(tmp_path):
    assert lock_path(tmp_path / "a.holmia", "listener").name == "a.holmia.listener"
    assert lock_path(tmp_path / "a.holmia", "console").name == "a.holmia.console"


def test_a_role_is_held_by_one_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "a.holmia"
    assert not FileLock.is_held(path, "listener")
    with FileLock.acquire(path, "listener"):
        assert FileLock.is_held(path, "listener")
        assert not FileLock.is_held(path, "console")
        with (
            pytest.raises(LockHeldError, match=r"a\.holmia already has a listener"),
            FileLock.acquire(path, "listener"),
        ):
            pass
        with FileLock.acquire(path, "console"):
            assert FileLock.is_held(path, "console")
        assert FileLock.is_held(path, "listener")
    assert not FileLock.is_held(path, "listener")
    assert list(tmp_path.iterdir()) == []
    with FileLock.acquire(path, "listener"):
        pass


def test_a_lock_survives_no_process(tmp_path):
    path = tmp_path / "a.holmia"
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom dicom_listener.locks import FileLock\n"
        "with FileLock.acquire(Path(sys.argv[1]), 'listener'):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "held\n"
        assert FileLock.is_held(path, "listener")
        with pytest.raises(LockHeldError), FileLock.acquire(path, "listener"):
            pass
        process.kill()
        process.wait(timeout=10)
    assert not FileLock.is_held(path, "listener")
    with FileLock.acquire(path, "listener"):
        assert FileLock.is_held(path, "listener")


def test_a_folder_that_is_missing_is_a_sentence(tmp_path):
    assert not FileLock.is_held(tmp_path / "none" / "a.holmia", "console")
    with (
        pytest.raises(LockHeldError, match="cannot be created"),
        FileLock.acquire(tmp_path / "none" / "a.holmia", "console"),
    ):
        pass
