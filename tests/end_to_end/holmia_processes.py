"""Holmia as its users run it: commands as processes of their own, every wait bounded, every outcome checked."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from console.__main__ import main
from console.processes import holmia_command
from console.sending import SendReport, send_folder
from dicom_listener.events import Event
from dicom_listener.record import Record

PATIENCE_S = 60.0
"""How long anything may take on a busy machine before the test gives up."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What a command left: exit status and what it said."""

    status: int
    out: str
    err: str


_WITH_SIGNALS = ("listen", "watch", "console")


def run(*arguments: object, own_process: bool | None = None) -> Finished:
    """Run a command to its end; a traceback is a failure whatever the command was asked.

    What starts and ends by signals has a process of its own; the others share this one, which saves their start, and
    so may one that is refused before it starts.
    """
    words = [str(argument) for argument in arguments]
    apart = words[0] in _WITH_SIGNALS if own_process is None else own_process
    finished = _in_own_process(words) if apart else _in_this_process(words)
    assert "Traceback" not in finished.err, finished.err
    return finished


def _in_own_process(words: list[str]) -> Finished:
    done = subprocess.run(holmia_command(*words), capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return Finished(status=done.returncode, out=done.stdout, err=done.stderr)


def _in_this_process(words: list[str]) -> Finished:
    out, err, before, status = io.StringIO(), io.StringIO(), sys.argv, 0
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    sys.argv = ["holmia", *words]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 0
    finally:
        sys.argv = before
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return Finished(status=status, out=out.getvalue(), err=err.getvalue())


def run_well(*arguments: object, own_process: bool | None = None) -> Finished:
    """Run a command that has to succeed."""
    done = run(*arguments, own_process=own_process)
    assert done.status == 0, done.err
    return done


@dataclass(kw_only=True)
class Running:
    """A command that goes on: its lines as they come."""

    process: subprocess.Popen[str]
    lines: list[dict[str, Any]] = field(default_factory=list)
    _readers: list[threading.Thread] = field(default_factory=list)
    _err: list[str] = field(default_factory=list)

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for a line."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            found = next((line for line in list(self.lines) if wanted(line)), None)
            if found is not None:
                return found
            ended = self.process.poll() is not None and not any(reader.is_alive() for reader in self._readers)
            assert not ended or any(map(wanted, self.lines)), f"ended without it: {self.lines} {self.err}"
            time.sleep(0.01)
        raise AssertionError(f"No such line within {PATIENCE_S:g} s: {self.lines} {self.err}")

    def of(self, event: str) -> list[dict[str, Any]]:
        """The lines of one kind so far."""
        return [line for line in list(self.lines) if line["event"] == event]

    @property
    def err(self) -> str:
        return "".join(self._err)

    def end(self) -> int:
        """Wait until it ends by itself; return its exit status."""
        status = self.process.wait(timeout=PATIENCE_S)
        for reader in self._readers:
            reader.join(timeout=PATIENCE_S)
        assert "Traceback" not in self.err, self.err
        return status

    def terminate(self) -> int:
        """Stop it as a service manager would (SIGTERM)."""
        self.process.terminate()
        return self.end()

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        self.process.kill()
        self.end()


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[Running]:
    """Start a command whose standard output is JSON lines; kill it if the test leaves it running."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    result = Running(process=process)
    assert process.stdout is not None
    assert process.stderr is not None

    def read_out() -> None:
        for line in process.stdout or ():
            result.lines.append(json.loads(line, parse_constant=_refuse_constant))

    def read_err() -> None:
        for line in process.stderr or ():
            result._err.append(line)

    result._readers = [threading.Thread(target=target, daemon=True) for target in (read_out, read_err)]
    for reader in result._readers:
        reader.start()
    try:
        yield result
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=PATIENCE_S)
        for reader in result._readers:
            reader.join(timeout=PATIENCE_S)
        process.stdout.close()
        process.stderr.close()


@contextlib.contextmanager
def listening(file: Path, plan: Path | None, *more: object, port: int = 0) -> Iterator[tuple[Running, int]]:
    """`holmia listen`, with or without a plan; stopped by SIGTERM at the end, which has to be exit status 0."""
    command = holmia_command("listen", str(file), "--host", "127.0.0.1", "--port", str(port))
    command += ["--plan", str(plan)] if plan is not None else []
    with running([*command, *map(str, more)]) as listener:
        bound = int(listener.until(lambda line: line["event"] == "listening")["port"])
        yield listener, bound
        if listener.process.poll() is None:
            assert listener.terminate() == 0, listener.err


def watching(file: Path, *more: object) -> contextlib.AbstractContextManager[Running]:
    """`holmia watch --until-complete`."""
    command = holmia_command("watch", str(file), "--until-complete", "--timeout", f"{PATIENCE_S:g}")
    return running([*command, *map(str, more)])


def told_of(file: Path) -> list[dict[str, Any]]:
    """What `holmia watch` tells of a file in which every injection has its series, in this process."""
    done = run_well("watch", file, "--until-complete", "--timeout", PATIENCE_S, own_process=False)
    return [json.loads(line, parse_constant=_refuse_constant) for line in done.out.splitlines()]


def send(folder: Path, port: int, **how: Any) -> SendReport:
    """Send a folder by real associations; everything has to be acknowledged."""
    report = send_folder(folder, "127.0.0.1", port, **how)
    assert report.refused == ()
    return report


def until_sigterm_is_handled(process: subprocess.Popen[str]) -> None:
    """Wait until a process that says nothing has installed its handler (Linux tells which signals are caught)."""
    deadline, status = time.monotonic() + PATIENCE_S, Path(f"/proc/{process.pid}/status")
    while time.monotonic() < deadline:
        caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt:"))
        if int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.02)
    raise AssertionError("SIGTERM is not handled")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def events_of(file: Path) -> list[Event]:
    """Every event of a treatment file."""
    with Record.open(file, read_only=True) as record:
        found: list[Event] = []
        while batch := record.events(found[-1].seq if found else 0):
            found += batch
        return found


def stored_uids(file: Path) -> set[str]:
    """SOP Instance UIDs of what the file holds."""
    return {str(e.payload["sop_instance_uid"]) for e in events_of(file) if e.kind == "instance_stored"}


def read_results(folder: Path) -> dict[str, Any]:
    """`results.json`; NaN and infinity are refused."""
    text = (folder / "results.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text, parse_constant=_refuse_constant)
    return document


def quantified(source: Path, out: Path, *more: object, own_process: bool | None = None) -> dict[str, Any]:
    """`holmia quantify`, which has to succeed; return `results.json`."""
    run_well("quantify", source, "--out", out, *more, own_process=own_process)
    return read_results(out)


def without_software(document: dict[str, Any]) -> dict[str, Any]:
    """Results but for `software` and `record`, which are of the very file that they come from."""
    return {key: value for key, value in document.items() if key not in ("software", "record")}


def without_uids(document: dict[str, Any]) -> dict[str, Any]:
    """Results of the same images under other UIDs."""
    fractions = [{k: v for k, v in f.items() if k != "series_instance_uid"} for f in document["fractions"]]
    return {**without_software(document), "fractions": fractions, "reference": None}


def map_arrays(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Every map (slice, row, column) under its file name, NaN included.

    Voxels are taken from the file itself: the NIfTI library in SimpleITK turns NaN into 0 on reading.
    """
    return {path.name: _nifti_voxels(path) for path in sorted((folder / "maps").iterdir())}


def _nifti_voxels(path: Path) -> np.ndarray[Any, Any]:
    data = gzip.decompress(path.read_bytes())
    dimensions = struct.unpack_from("<8h", data, 40)
    kind = {2: "<u1", 4: "<i2", 8: "<i4", 16: "<f4", 64: "<f8", 256: "<i1", 512: "<u2", 768: "<u4"}[
        struct.unpack_from("<h", data, 70)[0]
    ]
    shape = dimensions[3], dimensions[2], dimensions[1]
    offset = int(struct.unpack_from("<f", data, 108)[0])
    return np.frombuffer(data, dtype=kind, count=int(np.prod(shape)), offset=offset).reshape(shape)


def assert_same_maps(first: Path, second: Path) -> None:
    """Bit for bit, NaN equal to NaN."""
    one, two = map_arrays(first), map_arrays(second)
    assert one.keys() == two.keys()
    assert one
    for name, values in one.items():
        np.testing.assert_array_equal(values, two[name], err_msg=name)


def _refuse_constant(text: str) -> float:
    raise AssertionError(f"{text} is not JSON")
