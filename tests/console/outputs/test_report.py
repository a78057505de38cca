"""The report: every number of it is in the document, and the same document gives the same bytes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import treated as by_hand
from report_numbers import numbers_not_in, regions, report_text, stands_for

from config.settings import DisplaySettings
from console.outputs.error import OutputError
from console.outputs.report import look, pages, report_bytes, sections, summary, write_report
from console.outputs.report.words import mean_dose
from console.outputs.results import results_document
from console.outputs.wording import RESEARCH_USE
from console.snapshot import Snapshot
from quantify.findings import FractionStatus, Registration, RegistrationStatus, VolumeStatus

NO_FIGURES = pages._Figures(doses=(), trends=(), histograms=None)


def document_of(snapshot: Snapshot) -> dict[str, Any]:
    """The document as it comes back from results.json."""
    return json.loads(json.dumps(results_document(snapshot), allow_nan=False))


def words_of(document: dict[str, Any], folder) -> str:
    """The text of the report, without drawing its figures."""
    return report_text(pages._built(document, NO_FIGURES, total=9)[0], folder)


def reordered(value: Any) -> Any:
    """The same document with its keys in another order."""
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(own) for own in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return by_hand.treated(oblique=True).snapshot


@pytest.fixture(scope="module")
def document(snapshot) -> dict[str, Any]:
    return document_of(snapshot)


@pytest.fixture(scope="module")
def text(document, tmp_path_factory) -> str:
    return words_of(document, tmp_path_factory.mktemp("text"))


def test_the_same_document_gives_the_same_bytes_in_whatever_order_its_keys_are(
    snapshot, document, tmp_path, monkeypatch
):
    monkeypatch.setattr(look, "DPI", 40)
    once = report_bytes(document, snapshot)
    write_report(reordered(document), snapshot, tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes() == once
    assert [p.name for p in tmp_path.iterdir()] == ["report.pdf"]
    assert once.count(b"/Subtype /Image") == 4, "two tumours, the trend, the histograms"
    assert numbers_not_in(report_text(once, tmp_path), document) == []


def test_every_number_of_the_report_is_in_the_document(text, document):
    assert numbers_not_in(text, document) == []


def test_every_row_tells_of_its_own_volume_and_fraction_only(text, document):
    found = regions(text, document)
    assert len(found) == 5 * (1 + 4), "the summary and four fractions, with four volumes each"
    assert [wrong for words, reader in found if (wrong := numbers_not_in(words, reader))] == []


def test_another_number_in_a_row_is_noticed(text, document):
    changed = noticed = 0
    for words, reader in regions(text, document):
        for at in re.finditer(r"(?<=[ (])(\d+\.\d|\d{2,4})(?= Gy| ± |…)", words):
            other = f"{float(at[0]) * 1.31 + 2:.{len(at[0].partition('.')[2])}f}"
            changed += 1
            noticed += bool(numbers_not_in(words[: at.start()] + other + words[at.end() :], reader))
    assert changed > 150
    assert noticed >= 0.8 * changed, f"{noticed} of {changed}"


def test_each_row_has_the_numbers_of_its_own_volume_and_fraction(text, document):
    after = text[text.index("4 Results by fraction") : text.index("5 Ledger")]
    parts = re.split(r"(?=RHA F\d · )", after)[1:]
    assert len(parts) == len(document["fractions"]) == 4
    for part, fraction in zip(parts, document["fractions"], strict=True):
        for name, own in fraction["volumes"].items():
            row = re.search(rf" {name} (\d+) % (≥ )?([\d.]+)(?: ± ([\d.]+))? Gy", part)
            assert row is not None, name
            assert stands_for(row[1], 100 * own["evaluable_fraction"])
            assert bool(row[2]) == (own["status"] == "lower_bound")
            assert stands_for(row[3], own["dose_mean_Gy"], bound=bool(row[2]))
            assert row[4] is None if row[2] else stands_for(row[4], own["dose_mean_u_Gy"])


def test_a_report_that_rounds_wrongly_is_noticed(document, tmp_path, monkeypatch):
    right = summary.mean_dose
    wrong = lambda own: right({**own, "dose_mean_Gy": own["dose_mean_Gy"] + 7.7})  # noqa: E731
    monkeypatch.setattr(summary, "mean_dose", wrong)
    assert len(numbers_not_in(words_of(document, tmp_path), document)) >= 2


def test_wording_patient_record_and_page_stand_on_every_page(document, tmp_path):
    pdf, count = pages._built(document, NO_FIGURES, total=9)
    (tmp_path / "each.pdf").write_bytes(pdf)
    words = report_text(pdf, tmp_path)
    assert count >= 3
    assert words.count(RESEARCH_USE) == words.count("Patient ID EM1-004") == count
    assert words.count(f"record head {document['software']['record_head']}") == count


def test_a_lower_bound_is_marked_and_has_neither_uncertainty_nor_interval(text):
    assert re.search(r"Tumour 1 ≥ \d+ Gy none: lower bound ≥ \d+ Gy", text)
    assert "Tumour 1 lower bound" not in text.split("6 Uncertainties")[0]


def test_what_speaks_against_a_dose_stands_before_it(snapshot, tmp_path):
    last = snapshot.results[-1]
    volumes = dict(last.volumes)
    volumes["Tumour 2"] = replace(
        volumes["Tumour 2"], status=VolumeStatus.NOT_EVALUABLE, message="12 % evaluable: air interface"
    )
    failed = replace(
        last,
        fraction=5,
        status=FractionStatus.FAILED,
        error="its series is not complete",
        volumes={},
        trend={},
        maps=None,
    )
    doubtful = replace(
        last,
        position="LHA",
        fraction=1,
        status=FractionStatus.PROVISIONAL,
        provisional_reasons=("the residual is missing",),
        volumes=volumes,
        maps=None,
        registration=Registration(status=RegistrationStatus.FAILED, message="nothing agrees"),
    )
    bad = replace(
        snapshot,
        results=(*snapshot.results, doubtful, failed),
        complete=False,
        awaited=("LHA", 2),
        not_imaged_mbq=123.0,
        damage="the chain of hashes is broken from event 7 on",
        structure_faults=("Tumour 9 is not among the structures.",),
        overrides={"limits[0].dose_Gy": 40.0},
    )
    document = document_of(bad)
    words = words_of(document, tmp_path)
    first = words[: words.index("Tumours Tumour")]
    for said in (
        "dose after LHA F1",
        "RHA F5 FAILED, it has no dose: its series is not complete",
        "PROVISIONAL: the residual is missing",
        "WHAT-IF, not as treated: computed with limits[0].dose_Gy = 40.0",
        "123 MBq were injected after the last image",
        "The treatment is not complete; LHA F2 is awaited.",
        "Tumour 9 is not among the structures.",
    ):
        assert said in first
    assert words.count("A WHAT-IF, NOT THE TREATMENT AS RECORDED") == words.count("TREATMENT FILE DAMAGED")
    assert words.count("TREATMENT FILE DAMAGED: the chain of hashes is broken from event 7 on") >= 4
    assert re.search(r"Tumour 2 not evaluable — — — — 98 % .*?12 % evaluable: air interface", words)
    assert "failed; nothing agrees" in words
    assert numbers_not_in(words, document) == []


def test_a_mean_has_the_same_uncertainty_in_every_table():
    interval = {"u": 5.51, "low_95": 50.0, "high_95": 71.0}
    volume = {"status": "ok", "dose_mean_Gy": 59.3, "dose_mean_u_Gy": 5.49, "intervals": {"dose_mean_Gy": interval}}
    assert sections._interval_cell(volume, "dose_mean_Gy", "Gy", 1.0).startswith("59 ± 5 Gy (")
    assert mean_dose(volume) == "59 ± 5 Gy"


def test_a_treatment_without_anything_says_so(tmp_path):
    document = document_of(Snapshot())
    words = report_text(report_bytes(document, Snapshot()), tmp_path)
    for said in ("No fraction has a result: this report holds no dose.", "so no picture", "so there is no trend"):
        assert said in words
    assert numbers_not_in(words, document) == []


def test_maps_without_structures_say_that_there_is_no_dose_of_a_volume(snapshot, tmp_path):
    bare = replace(
        snapshot,
        volumes=(),
        volume_sources={},
        results=tuple(replace(r, volumes={}, trend={}) for r in snapshot.results),
    )
    words = words_of(document_of(bare), tmp_path)
    assert "No tumour was given or defined" in words
    assert "Healthy liver — — 55 Gy no value to hold against it" in words
    assert "No volumes of interest: there are maps only." in words


def test_names_of_any_length_and_script_stay_on_the_page(document, tmp_path):
    long = "Очень_длинное_имя_опухоли_" * 2 + "Ωμέγα <b>& $x$"
    renamed = json.loads(json.dumps(document, ensure_ascii=False).replace('"Tumour 2"', json.dumps(long)))
    renamed["treatment"]["patient_id"] = "P" * 64
    renamed["record"]["alarms"][0]["acknowledged_by"] = "山田太郎"
    words = words_of(renamed, tmp_path).replace(" ", "")
    assert words.count(long.replace(" ", "")) >= 8
    assert "P" * 64 in words
    assert "□□□□" in words


def test_a_report_that_cannot_be_written_is_a_sentence_and_leaves_nothing(document, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "report_bytes", lambda *_: b"%PDF")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"The report cannot be written to .*; choose another --out"):
        write_report(document, Snapshot(), tmp_path / "file" / "report.pdf")
    (tmp_path / "report.pdf").mkdir()
    with pytest.raises(OutputError):
        write_report(document, Snapshot(), tmp_path / "report.pdf")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "report.pdf"]


def test_the_report_asks_the_document_and_never_the_results_for_a_number(snapshot, document, tmp_path, monkeypatch):
    """De-identified or not: the same document with another patient behind it gives the same text."""
    monkeypatch.setattr(pages, "_figures", lambda *_: NO_FIGURES)
    other = replace(snapshot, patient_id="SOMEBODY", patient_name="Else^Somebody", results=snapshot.results[:1])
    once = report_bytes(document, other)
    assert once == report_bytes(document, snapshot)
    assert "SOMEBODY" not in report_text(once, tmp_path)
    assert sections.label(document["fractions"][0]) == "RHA F1"


def test_doses_have_the_levels_and_colours_of_the_screen(document):
    from console.dashboard.panels import theme
    from console.dashboard.screen.legend import build_legend
    from console.dashboard.screen.view import ViewState

    legend = build_legend(DisplaySettings(), ViewState())
    own = look.dose_look(document)
    assert (own.levels_gy, own.maximum_gy, own.threshold_gy) == (
        legend.levels_gy,
        legend.maximum_gy,
        legend.threshold_gy,
    )
    wash = 255.0 * own.wash(np.linspace(0.0, own.maximum_gy, 256))
    screen = theme.dose_table(legend).astype(float)
    coloured = screen[:, 3] > 0
    assert np.array_equal(coloured, wash[:, 3] > 0)
    assert np.abs(wash - screen)[coloured].max() <= 2.0
    assert theme.SERIES_COLOURS == look.ON_BLACK
