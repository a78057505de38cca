"""What people say of a treatment by command (assign, volumes) is recorded by name; what cannot be is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from conftest import Imported
from holmia_processes import events_of, quantified, read_results, run, run_well


@pytest.fixture
def copied(imported: Imported, tmp_path: Path) -> Path:
    return Path(shutil.copy(imported.file, tmp_path / "copy.holmia"))


def test_the_list_names_every_series_and_changes_nothing(copied: Path) -> None:
    before = copied.read_bytes()
    done = run_well("assign", copied)
    words = " ".join(done.out.replace("│", " ").split())
    for role in ("anatomy", "reference", "fraction RHA F1", "fraction RHA F2"):
        assert role in words
    assert copied.read_bytes() == before


def test_an_answer_is_recorded_with_its_name_and_decides(copied: Path, tmp_path: Path) -> None:
    run_well("assign", copied, "4", "--as", "ignore", "--by", "A. Physicist")
    said = events_of(copied)[-1]
    assert (said.kind, said.actor) == ("series_assigned", "A. Physicist")
    assert said.payload["role"] == "ignore"
    done = run("quantify", copied, "--out", tmp_path / "out")
    assert done.status == 1
    assert [f["status"] for f in read_results(tmp_path / "out")["fractions"]] == ["ok", "failed"]
    run_well("assign", copied, "4", "--as", "automatic", "--by", "A. Physicist")
    assert [f["status"] for f in quantified(copied, tmp_path / "again")["fractions"]] == ["ok", "ok"]


def test_a_clock_is_confirmed(copied: Path) -> None:
    done = run_well("assign", copied, "--clock-offset", "-12.5", "--by", "A. Physicist")
    assert "confirmed" in done.err or "12.5" in done.err
    said = events_of(copied)[-1]
    assert (said.kind, said.payload["seconds"]) == ("clock_offset_confirmed", -12.5)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["4"], "together"),
        (["99", "--as", "ignore"], "none of the 4 series"),
        (["4", "--as", "holmium"], "expected one of reference"),
        (["4", "--as", "fraction"], "say --of with one of: RHA:1, RHA:2"),
        (["4", "--as", "fraction", "--of", "RHA:7"], "say --of with one of: RHA:1, RHA:2"),
        (["4", "--as", "ignore", "--of", "RHA:1"], "--of belongs to"),
        (["--clock-offset", "1e6"], "more than a day"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_refused_and_not_recorded(copied: Path, words: list[str], sentence: str) -> None:
    before = len(events_of(copied))
    done = run("assign", copied, *words)
    assert done.status == 2
    assert sentence in done.err.replace("\n", " ")
    assert len(events_of(copied)) == before


def test_a_label_map_becomes_a_volume(copied: Path, imported: Imported, tmp_path: Path) -> None:
    label_map = tmp_path / "tumour.nii.gz"
    reference = nibabel.load(next((imported.out / "maps").glob("dose_*_f1.nii.gz")))
    values = np.zeros(reference.shape, np.uint8)
    middle = tuple(n // 2 for n in values.shape)
    values[middle[0] - 3 : middle[0] + 3, middle[1] - 3 : middle[1] + 3, middle[2] - 2 : middle[2] + 2] = 3
    nibabel.save(nibabel.Nifti1Image(values, reference.affine), label_map)
    done = run_well("volumes", copied, label_map, "--label", "3=Tumour 1", "--by", "A. Physicist")
    assert "Tumour 1" in done.err
    said = events_of(copied)[-1]
    assert (said.kind, said.actor, said.payload["labels"]) == ("label_map_given", "A. Physicist", {"3": "Tumour 1"})
    document = quantified(copied, tmp_path / "out")
    volume_ml = document["fractions"][0]["volumes"]["Tumour 1"]["volume_mL"]
    voxel_ml = abs(np.linalg.det(reference.affine[:3, :3])) / 1000.0
    assert volume_ml == pytest.approx(6 * 6 * 4 * voxel_ml, rel=1e-3)
    assert any("Tumour 1 is the later one" in remark for remark in document["structures"]["remarks"])


@pytest.mark.parametrize("labels", [["Liver"], ["0=Liver"], ["1="], ["1=A", "1=B"], ["7=Liver"]], ids="/".join)
def test_labels_that_mean_nothing_are_refused(copied: Path, tmp_path: Path, labels: list[str]) -> None:
    label_map = tmp_path / "one.nii"
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4)), label_map)
    before = len(events_of(copied))
    done = run("volumes", copied, label_map, *(word for label in labels for word in ("--label", label)))
    assert done.status == 2, done.err
    assert len(events_of(copied)) == before
