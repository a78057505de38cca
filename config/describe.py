"""The settings as a list, for a panel and for the page ``docs/settings.md``: made from their own metadata."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from config.errors import expectation, extra, file_keys, model_in, quote
from config.settings import Settings


@dataclass(frozen=True, kw_only=True)
class SettingDescription:
    """One setting: its TOML path, and what a user may know of it. `takes` says type, range and unit in words."""

    path: str
    default: Any
    unit: str
    takes: str
    description: str
    source: str


def described_settings(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[SettingDescription]:
    """Yield every setting below `model`, in the order of ``defaults.toml``."""
    for key, field in file_keys(model).items():
        inner = model_in(field.annotation)
        if inner is not None:
            yield from described_settings(inner, f"{prefix}{key}.")
            continue
        about = extra(field)
        yield SettingDescription(
            path=prefix + key,
            default=field.default,
            unit=about["unit"],
            takes=expectation(field),
            description=field.description or "",
            source=about["source"],
        )


def settings_page() -> str:
    """Return the page ``docs/settings.md``."""
    lines = [
        "# Settings",
        "",
        "Every setting, with its default. A site's TOML file may repeat any key with another value;",
        "a plan may override those of `[quantification]`. Unknown keys are refused with the nearest known one.",
        "This page is `config.describe.settings_page()`; a test holds it to the code.",
    ]
    table = ""
    for setting in described_settings():
        section, _, key = setting.path.rpartition(".")
        if section != table:
            table = section
            lines += [
                "",
                f"## [{section}]",
                "",
                "| key | default | takes | what it is | source |",
                "|---|---|---|---|---|",
            ]
        lines.append(
            f"| `{key}` | `{quote(setting.default)}` | {setting.takes} | {setting.description} | {setting.source} |"
        )
    return "\n".join([*lines, ""])
