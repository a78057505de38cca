"""`holmia volumes`: a label map from a drawing program becomes volumes of a treatment."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from console.cli.app import app
from console.shell import EXIT_DONE, EXIT_USAGE, CommandError, now, open_record, say
from dicom_listener.decoding import DecodingProcess
from dicom_listener.events import Kind
from dicom_listener.images import RegionMask

_LARGEST_FILE_BYTES = 256 << 20


@app.command()
def volumes(
    file: Annotated[Path, typer.Argument(help="The treatment file, also while it is being filled.")],
    label_map: Annotated[
        Path, typer.Argument(help="A NIfTI file (.nii, .nii.gz) on a series of this examination.", dir_okay=False)
    ],
    labels: Annotated[
        list[str],
        typer.Option("--label", metavar="VALUE=NAME", help="Which value is which volume; repeat."),
    ],
    by: Annotated[str | None, typer.Option("--by", help="Who says so (default: the user of this machine).")] = None,
) -> int:
    """Add a NIfTI label map as volumes; later ones of the same name take the place of earlier ones, which are kept."""
    named = dict(_label(words) for words in labels)
    if len(named) < len(labels):
        raise CommandError("A value is given two names with --label; give each once.", status=EXIT_USAGE)
    if not label_map.is_file():
        raise CommandError(f"{label_map} does not exist; check the name.", status=EXIT_USAGE)
    if label_map.stat().st_size > _LARGEST_FILE_BYTES:
        raise CommandError(f"{label_map} is larger than {_LARGEST_FILE_BYTES >> 20} MiB; compress it (.nii.gz).")
    data = label_map.read_bytes()
    with DecodingProcess() as decoding:
        found, remark = decoding.label_map(data, named, name=label_map.name)
    if found.unusable or not found.structures:
        why = "; ".join(f"{name}: {fault}" for name, fault in found.unusable) or remark
        raise CommandError(f"{label_map} was not taken. {why}", status=EXIT_USAGE)
    name = by or getpass.getuser()
    payload = {"name": label_map.name, "labels": {str(value): volume for value, volume in named.items()}, "by": name}
    with open_record(file, read_only=False) as record:
        record.append(Kind.LABEL_MAP_GIVEN, payload, actor=name, utc=now(), data=data)
    if remark:
        say(f"Note: {remark}")
    told = ", ".join(f"{s.name} {_volume_ml(s.mask):.1f} mL" for s in found.structures if s.mask is not None)
    say(f"Recorded by {name}: {told}. NIfTI states no frame of reference: it is taken as the reference series'.")
    return EXIT_DONE


def _label(words: str) -> tuple[int, str]:
    value, _, name = words.partition("=")
    if not value.strip().isdecimal() or int(value) < 1 or not name.strip():
        raise CommandError(f"--label {words!r} is not VALUE=NAME, such as 1=Liver.", status=EXIT_USAGE)
    return int(value), name.strip()


def _volume_ml(mask: RegionMask) -> float:
    return float(mask.values.sum(dtype=np.float64) * abs(np.linalg.det(mask.affine_lps_mm[:3, :3])) / 1000.0)
