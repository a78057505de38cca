"""Fuzz every target for some seconds: ``python -m benchmarks.fuzz --seconds 60 [--only header] [--out fuzz-output]``.

Prints, for each, how many inputs were run, how much of the code they reached, and what broke. What broke is left in
the output folder with its report and how to run it again; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fuzz.targets import TARGETS

_MEMORY_MB = 2048
_INPUT_TIMEOUT_S = 30
_LONGEST_INPUT = 1 << 16
_SEED = 166


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run did: inputs executed, coverage edges reached, peak memory, and the file that broke a law, if any."""

    executions: int
    edges: int
    peak_mb: int
    crash: Path | None
    report: str


def fuzz(name: str, seconds: int, out: Path) -> Outcome:
    """Run one target in a process of its own for some seconds; what breaks it is left in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for kind, data in TARGETS[name].corpus().items():
            (Path(corpus) / kind.replace(" ", "_")).write_bytes(data)
        before = set(out.iterdir())
        command = [
            *(sys.executable, "-m", "benchmarks.fuzz.run", name),
            f"-max_total_time={seconds}",
            f"-rss_limit_mb={_MEMORY_MB}",
            f"-timeout={_INPUT_TIMEOUT_S}",
            f"-max_len={_LONGEST_INPUT}",
            f"-seed={_SEED}",
            f"-artifact_prefix={out}/{name}-",
            "-print_final_stats=1",
            corpus,
        ]
        done = subprocess.run(command, capture_output=True, check=False)
    report = (done.stdout + done.stderr).decode("utf-8", "replace")
    left = sorted(set(out.iterdir()) - before)
    crash = left[0] if left else None
    if crash is None and done.returncode != 0:
        crash = out / f"{name}-ended-with-{done.returncode}"
        crash.write_bytes(b"")
    return Outcome(
        executions=_last(r"stat::number_of_executed_units:\s*(\d+)", report) or _last(r"#(\d+)\s", report),
        edges=_last(r"cov: (\d+)", report),
        peak_mb=_last(r"stat::peak_rss_mb:\s*(\d+)", report),
        crash=crash,
        report=report,
    )


def main() -> int:
    """Fuzz what the command line asks for and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--only", choices=sorted(TARGETS), action="append", help="this target; may be repeated")
    parser.add_argument("--out", type=Path, default=Path("fuzz-output"), help="folder for what breaks a law")
    asked = parser.parse_args()
    broken = 0
    print(f"{'target':18}{'inputs':>10}{'edges':>8}{'peak MB':>9}")
    for name in asked.only or TARGETS:
        outcome = fuzz(name, asked.seconds, asked.out.resolve())
        print(f"{name:18}{outcome.executions:>10}{outcome.edges:>8}{outcome.peak_mb:>9}", flush=True)
        if outcome.crash is not None:
            broken += 1
            again = f"python -m benchmarks.fuzz.run {name} {outcome.crash}"
            report = outcome.crash.with_name(outcome.crash.name + ".txt")
            report.write_text(f"Run it again with:\n    {again}\n\n{outcome.report[-20_000:]}", encoding="utf-8")
            print(f"  broken: {outcome.crash}\n  again:  {again}\n  report: {report}", flush=True)
    return 1 if broken else 0


def _last(pattern: str, report: str) -> int:
    found = re.findall(pattern, report)
    return int(found[-1]) if found else 0


if __name__ == "__main__":
    sys.exit(main())
