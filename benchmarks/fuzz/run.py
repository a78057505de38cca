"""One target in one process, which libFuzzer ends: ``python -m benchmarks.fuzz.run TARGET [libFuzzer's arguments]``.

With a file as argument it runs that file only: so a crash is reproduced.
"""

from __future__ import annotations

import logging
import sys
import warnings
from random import Random

import atheris

with atheris.instrument_imports(include=["dicom_listener"]):
    from benchmarks.fuzz.mutate import mutated, mutated_bytes
    from benchmarks.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz until libFuzzer's arguments say it is enough."""
    fuzzed = TARGETS[sys.argv[1]]
    sound = list(fuzzed.corpus().values())
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        chance = Random(seed)
        kind = chance.randrange(4)
        try:
            if fuzzed.dicom and kind < 2:
                changed = mutated(data, chance, others=(chance.choice(sound),))
            elif fuzzed.dicom and kind == 2:
                changed = mutated(chance.choice(sound), chance)
            elif not fuzzed.dicom and kind == 0:
                changed = mutated_bytes(data, chance, tuple(sound))
            else:
                changed = atheris.Mutate(data, longest)
        except Exception:  # noqa: BLE001 - what has been mutated before need not be a tree any more
            changed = atheris.Mutate(data, longest)
        return bytes(changed[:longest])

    arguments = [sys.argv[0], *sys.argv[2:]]
    target = fuzzed.prepare()
    atheris.Setup(arguments, target, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
