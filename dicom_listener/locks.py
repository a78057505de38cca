"""Who is at work on a treatment file: one listener and one console, each holding a lock beside it.

The lock dies with its process, however that ends, so a stale file means nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

Role = Literal["listener", "console"]

_ATTEMPTS = 25
_PAUSE_S = 0.02
"""Acquiring lasts half a second: `is_held` of another process holds the lock for a moment."""


class LockHeldError(Exception):
    """Another process has this role already, or the lock cannot be made; the text is a sentence for the user."""


def lock_path(path: Path, role: Role) -> Path:
    """Return the lock file of `role` beside the treatment file `path`: NAME.holmia.listener or NAME.holmia.console."""
    return path.with_name(f"{path.name}.{role}")


class FileLock:
    """An exclusive flock(2), held from `acquire` to the end of its ``with`` block or of the process."""

    @staticmethod
    @contextlib.contextmanager
    def acquire(path: Path, role: Role) -> Iterator[None]:
        """Hold the lock of `role` on the treatment file `path`, which need not exist yet.

        Raises
        ------
        LockHeldError
            If another process (or thread) holds it, or the lock file cannot be made.
        """
        lock = lock_path(path, role)
        descriptor = _locked(lock, role)
        try:
            yield
        finally:
            # While still held: whoever opened it meanwhile finds that its name has gone and makes a new one.
            with contextlib.suppress(OSError):
                lock.unlink()
            os.close(descriptor)

    @staticmethod
    def is_held(path: Path, role: Role) -> bool:
        """Return whether some process holds the lock of `role` on the treatment file `path`."""
        try:
            descriptor = os.open(lock_path(path, role), os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        else:
            return False
        finally:
            os.close(descriptor)


def _locked(lock: Path, role: Role) -> int:
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_S)
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise LockHeldError(
                f"{lock} cannot be created: {error.strerror}; choose a folder that exists and can be written."
            ) from error
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), lock.stat()):
                return descriptor
        os.close(descriptor)
    raise LockHeldError(
        f"{lock.name.removesuffix(f'.{role}')} already has a {role} on this machine (lock {lock}); "
        "close that one, or work with it."
    )
