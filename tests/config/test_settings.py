from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from config.base import DEFAULTS, file_key
from config.describe import described_settings, settings_page
from config.errors import ConfigurationError
from config.settings import (
    QuantificationSettings,
    Settings,
    TrendSettings,
    load_settings,
    settings_from_mapping,
    settings_sha256,
)

REPOSITORY = Path(__file__).resolve().parents[2]


def leaves(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def test_defaults_file_and_models_have_the_same_keys_and_values() -> None:
    assert leaves(Settings().to_mapping()) == leaves(DEFAULTS)
    assert load_settings() == Settings()


def test_every_setting_has_description_source_and_a_default_from_the_file() -> None:
    defaults = leaves(DEFAULTS)
    for setting in described_settings():
        assert setting.description.endswith("."), setting.path
        assert setting.source, setting.path
        default = list(setting.default) if isinstance(setting.default, tuple) else setting.default
        assert default == defaults.pop(setting.path)
    assert not defaults


@pytest.mark.parametrize("suffix", ["_pct", "_Gy", "_s", "_per_s", "_mm", "_deg", "_h", "_ms", "_MB", "_bytes"])
def test_a_unit_in_the_name_is_the_unit_in_the_metadata(suffix: str) -> None:
    units = {
        "_pct": "%", "_Gy": "Gy", "_s": "s", "_per_s": "s⁻¹", "_mm": "mm", "_deg": "°", "_h": "h", "_ms": "ms",
        "_MB": "MB", "_bytes": "B",
    }  # fmt: skip
    for setting in described_settings():
        longest = max((s for s in units if setting.path.endswith(s)), key=len, default=None)
        if longest == suffix:
            assert setting.unit == units[suffix], setting.path


def test_the_published_convention_is_the_default() -> None:
    quantification = load_settings().quantification
    # EMERITUS-1, eq. 1: 60 Gy in 1 kg take 3781 MBq.
    assert 60 / (quantification.absorbed_energy_mj_per_mbq * 1e-3) == pytest.approx(3781, abs=1)
    assert quantification.half_life_h == 26.80
    assert quantification.trend.fit_points == 3
    assert quantification.trend.threshold_pct == 10
    assert quantification.uncertainty.energy_pct == pytest.approx(2.2 / 3**0.5, abs=0.05)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("tissue_density_g_per_ml", "tissue_density_g_per_mL"),
        ("absorbed_energy_mj_per_mbq", "absorbed_energy_mJ_per_MBq"),
        ("minimum_expected_gy", "minimum_expected_Gy"),
        ("relaxivity_band_1_5t", "relaxivity_band_1_5T"),
        ("relaxivity_band_3t", "relaxivity_band_3T"),
        ("minimum_free_disk_mb", "minimum_free_disk_MB"),
        ("temperature_c", "temperature_C"),
        ("field_t", "field_T"),
        ("air_interface_r2star_per_s", "air_interface_r2star_per_s"),
    ],
)
def test_file_keys_write_units_as_the_field_does(name: str, key: str) -> None:
    assert file_key(name) == key


def test_site_file_lies_over_defaults_and_overrides_over_both(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text('[site]\nae_title = "MRI3"\nport = 4711\n[quantification.trend]\nthreshold_pct = 12\n')
    settings = load_settings(site, {"site.port": 0, "trend.fit_points": 4})
    assert (settings.site.ae_title, settings.site.port) == ("MRI3", 0)
    assert settings.quantification.trend.threshold_pct == 12.0
    assert settings.quantification.trend.fit_points == 4
    assert settings.quantification.trend.minimum_expected_gy == 2.0


def test_settings_survive_json() -> None:
    settings = load_settings(overrides={"display.isodose_levels_Gy": [10, 20], "site.calling_ae_titles": ["MR1"]})
    assert settings_from_mapping(json.loads(json.dumps(settings.to_mapping()))) == settings


def test_settings_cannot_be_changed() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.quantification.fit = "log_linear"  # type: ignore[misc]


def test_python_names_construct_but_do_not_read_files() -> None:
    assert QuantificationSettings(tissue_density_g_per_ml=1.03).tissue_density_g_per_ml == 1.03
    with pytest.raises(ConfigurationError, match="Did you mean tissue_density_g_per_mL"):
        settings_from_mapping({"quantification": {"tissue_density_g_per_ml": 1.03}})


def test_all_faults_of_a_site_file_are_one_message(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(
        "[site]\nport = 70000\nae_titel = 'X'\ntime_zone = 'Europe/Amsterdm'\nmaximum_associations = true\n"
        "[quantification]\ndose_model = 'sphere'\ntissue_density_g_per_mL = 1060\n"
        "[quantification.trend]\nfit_points = 1\n"
        "[quantification.registration]\nminimum_similarity = 0.9\n"
        "[alarms]\nrelaxivity_band_3T = [229, 209]\n[display]\nisodose_levels_Gy = [50, 20]\ndose_maximum_Gy = inf\n"
        "[alarm]\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        load_settings(site)
    message = str(caught.value)
    assert message.startswith(f"{site} has 12 faults:\n")
    for sentence in (
        "site.port is 70000; expected a whole number from 0 to 65535.",
        "site.ae_titel is not a known key. Did you mean ae_title?",
        'site.time_zone: "Europe/Amsterdm" is not an IANA time zone',
        "site.maximum_associations is true; expected a whole number from 1 to 100.",
        'quantification.dose_model is "sphere"; expected "local" or "kernel".',
        "quantification.tissue_density_g_per_mL is 1060; expected a number from 0.2 to 2.5 g/mL.",
        "quantification.trend.fit_points is 1; expected a whole number from 2 to 20.",
        "quantification.registration: minimum_similarity is 0.9, above warning_similarity 0.75",
        "alarms.relaxivity_band_3T: [229, 209] is no band",
        "display.isodose_levels_Gy: [50.0, 20.0] must be positive doses in ascending order",
        "display.dose_maximum_Gy is Infinity; expected a number",
        "alarm is not a known key. Did you mean alarms?",
    ):
        assert sentence in message
    assert len(caught.value.faults) == 12


@pytest.mark.parametrize("title", ["", "A" * 17, " HOLMIA", "HÖLMIA", "A\\B", "   "])
def test_an_impossible_ae_title_is_refused(title: str) -> None:
    with pytest.raises(ConfigurationError, match="1 to 16 ASCII characters"):
        settings_from_mapping({"site": {"ae_title": title}})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[site\n", "not valid TOML.*line 1"),
        (b"# caf\xe9\n", "not UTF-8"),
        (b"site = 3\n", "site is 3; expected a table"),
    ],
    ids=["syntax", "encoding", "no table"],
)
def test_an_unreadable_site_file_says_why(tmp_path: Path, content: bytes, said: str) -> None:
    site = tmp_path / "site.toml"
    site.write_bytes(content)
    with pytest.raises(ConfigurationError, match=said):
        load_settings(site)


def test_a_missing_site_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml: The file cannot be read"):
        load_settings(tmp_path / "none.toml")


def test_hash_depends_on_every_quantification_setting_and_on_nothing_else() -> None:
    base = load_settings()
    assert settings_sha256(base.quantification) == settings_sha256(QuantificationSettings())
    other = {
        "fit": "log_linear",
        "s0": "blended",
        "fat_model": "six_peak",
        "dose_model": "kernel",
        "reference_mode": "liver_mean",
        "deformable": "demons",
        "v_x_Gy": [30.0],
    }
    hashes = {settings_sha256(base.quantification)}
    expected = 1
    for path, value in leaves(DEFAULTS["quantification"]).items():
        leaf = path.rpartition(".")[2]
        if leaf in other:
            changed = other[leaf]
        elif isinstance(value, bool):
            changed = not value
        else:
            changed = value + 1 if isinstance(value, int) else value * 0.99
        hashes.add(settings_sha256(load_settings(overrides={path: changed}).quantification))
        expected += 1
    assert len(hashes) == expected
    assert settings_sha256(load_settings(overrides={"alarms.clock_offset_s": 5}).quantification) in hashes


def test_a_whole_number_and_its_float_hash_alike() -> None:
    whole = load_settings(overrides={"trend.threshold_pct": 10})
    assert settings_sha256(whole.quantification) == settings_sha256(QuantificationSettings(trend=TrendSettings()))


def test_the_page_of_settings_is_up_to_date() -> None:
    assert (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8") == settings_page()


def test_defaults_file_is_plain_toml() -> None:
    text = (REPOSITORY / "config" / "defaults.toml").read_text(encoding="utf-8")
    assert set(tomllib.loads(text)) == {"site", "quantification", "alarms", "display"}


@pytest.mark.parametrize("entry", ["10.1.20.31", "10.1.0.0/16", "10.1.20.31/16", "::1", "fe80::/10"])
def test_a_calling_address_is_an_address_or_a_network(entry):
    assert load_settings(overrides={"site.calling_addresses": [entry]}).site.calling_addresses == (entry,)


@pytest.mark.parametrize("entry", ["scanner.hospital", "10.1.20", "10.1.20.31/99", ""])
def test_a_calling_address_that_nobody_can_have_is_refused(entry):
    with pytest.raises(ConfigurationError, match="is no address or network"):
        load_settings(overrides={"site.calling_addresses": [entry]})
