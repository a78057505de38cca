"""`holmia compare`: a volume's version changes what depends on it, settings are those of ``quantify --set``."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import holmia_processes
import nibabel
import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent.parent / "console" / "outputs"))

from leaks import leaks_in

from console.outputs.comparison_folder import NAMES
from dicom_listener.events import Kind
from dicom_listener.record import Record

SETTINGS = ("tissue_density_g_per_mL=1.0", "trend.threshold_pct=5")


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What the command said and wrote: tumour 1 as drawn last (A) against its first version (B), other settings."""

    file: Path
    out: Path
    said: str
    told: str
    document: dict[str, Any]


@pytest.fixture(scope="module")
def compared(imported, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    folder = tmp_path_factory.mktemp("compared")
    file, label_map, out = folder / "imported.holmia", folder / "drawn.nii.gz", folder / "out"
    words = {"name": label_map.name, "labels": {"1": "Tumour 1"}, "by": "Dr. A. Acker"}
    shutil.copyfile(imported.file, file)
    grid = nibabel.load(next((imported.out / "maps").glob("dose_*_f1.nii.gz")))
    drawn = np.zeros(grid.shape, dtype=np.uint8)
    middle = imported.document["volumes"]["Tumour 1"]["centre_voxel"][::-1]
    drawn[tuple(slice(at - 1, at + 2) for at in middle)] = 1
    nibabel.save(nibabel.Nifti1Image(drawn, grid.affine), label_map)
    with Record.open(file) as record:  # what `holmia volumes` records, without its look at the file
        record.append(
            Kind.LABEL_MAP_GIVEN, words, actor="Dr. A. Acker", utc=datetime.now(UTC), data=label_map.read_bytes()
        )
    before = file.read_bytes()
    sets = [word for side in "ab" for text in SETTINGS for word in (f"--set-{side}", text)]
    done = holmia_processes.run_well("compare", file, *sets, "--volume-b", "Tumour 1=1", "--out", out)
    with Record.salvage(file) as record:
        assert record.damage is None
    assert file.read_bytes() == before
    document = json.loads((out / NAMES[0]).read_text(encoding="utf-8"))
    return Compared(file=file, out=out, said=done.out, told=done.err, document=document)


def of(compared: Compared, volume: str, key: str) -> list[dict[str, Any]]:
    rows = [row for row in compared.document["rows"] if (row["volume"], row["quantity"]) == (volume, key)]
    assert rows
    return rows


def test_a_version_of_a_volume_changes_only_what_depends_on_it(compared):
    (told,) = compared.document["inputs"]
    assert told.startswith("volumes.Tumour 1: version 2 of ")
    assert "→ version 1 of " in told
    assert all(row["verdict"] != "same" for row in of(compared, "Tumour 1", "volume_mL"))
    assert all(row["verdict"] != "same" for row in of(compared, "Healthy liver", "volume_mL"))
    for volume, key in (
        ("", "cumulative_injected_MBq"),
        ("Liver", "volume_mL"),
        ("Tumour 2", "volume_mL"),
        ("Tumour 2", "evaluable_fraction"),
    ):
        assert [row["difference"] for row in of(compared, volume, key)] == [0.0, 0.0]


def test_settings_and_the_first_version_are_what_quantify_gave_of_the_file_before(compared, imported, tmp_path):
    out = tmp_path / "quantified"
    sets = [word for text in SETTINGS for word in ("--set", text)]
    holmia_processes.run_well("quantify", imported.file, "--out", out, *sets)
    quantified = json.loads((out / "results.json").read_text(encoding="utf-8"))
    of_b = compared.document["b"]["results"]
    assert of_b["software"]["settings_sha256"] == quantified["software"]["settings_sha256"]
    assert of_b["settings"] == quantified["settings"]
    for own, its in zip(of_b["fractions"], quantified["fractions"], strict=True):
        for key in ("volumes", "trend", "measured_MBq", "recovery_ratio", "cumulative_injected_MBq"):
            assert own[key] == its[key]


def test_the_table_is_readable_in_a_hundred_columns_and_names_nobody(compared, imported):
    assert max(len(line) for line in compared.said.splitlines()) <= 100
    assert "mean dose (Gy)" in compared.said
    assert "research use only" in compared.told
    patient = imported.document["treatment"]["patient_id"]
    assert patient not in compared.said
    assert leaks_in(compared.out, [patient, "Acker"]) == []
    assert sorted(path.name for path in compared.out.iterdir()) == sorted(NAMES)


def test_bad_input_is_one_sentence_and_writes_nothing(compared, tmp_path):
    text, empty = tmp_path / "text.holmia", tmp_path / "new"
    text.write_text("no treatment")
    for words, status, told in (
        ([compared.file], 2, "Nothing differs between A and B"),
        ([compared.file, "--set-a", SETTINGS[0], "--set-b", SETTINGS[0]], 2, "Nothing differs between A and B"),
        ([compared.file, text], 2, "text.holmia"),
        ([compared.file, tmp_path / "none.holmia"], 2, "does not exist"),
        ([compared.file, "--volume-b", "Tumour 1"], 2, "expected NAME=VERSION"),
        ([compared.file, "--volume-b", "Tumour 1=9"], 2, "it has 2"),
        ([compared.file, "--set-b", SETTINGS[0], "--out", compared.out], 2, "never overwritten"),
    ):
        where = [] if "--out" in words else ["--out", empty]
        done = holmia_processes.run("compare", *words, *where)
        assert done.status == status, (words, done.err)
        assert told in done.err, (words, done.err)
        assert not empty.exists()
