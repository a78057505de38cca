"""The same function over many items in two processes, in order, with progress."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

from benchmarks.validation.section import Progress

WORKERS = 2
_WORTH_A_PROCESS = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


def mapped(function: Callable[[Item], Result], items: Sequence[Item], progress: Progress) -> list[Result]:
    """``[function(item) for item in items]``, by two workers as soon as there is enough to do.

    The results do not depend on how the work is divided: every item carries its own seed.
    """
    if len(items) < _WORTH_A_PROCESS:
        found = []
        for number, item in enumerate(items, start=1):
            found.append(function(item))
            progress(number / len(items))
        return found
    # One thread each: two workers with two threads would only get in each other's way.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
        os.environ.setdefault(name, "1")
    results: dict[int, Result] = {}
    with ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(function, item): number for number, item in enumerate(items)}
        try:
            for done in as_completed(waiting):
                results[waiting[done]] = done.result()
                progress(len(results) / len(items))
        except BaseException:
            # Without this the pool would first finish everything else, and then say what went wrong.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [results[number] for number in range(len(items))]
