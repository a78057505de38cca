"""Decay and energy of a radionuclide bound for ever to where it lodged (a permanent implant)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

HOLMIUM_166 = "166Ho"
YTTRIUM_90 = "90Y"
PHOSPHORUS_32 = "32P"
STRONTIUM_89 = "89Sr"
_MOST_HALF_LIVES = 300.0


@dataclass(frozen=True, kw_only=True)
class Isotope:
    """A radionuclide with the absorbed energy that belongs to its dose formula.

    ``absorbed_energy_mj_per_mbq`` is the energy absorbed per MBq that decays completely [mJ/MBq]. For 166Ho the field
    uses 15.87 (EMERITUS-1, eq. 1: 60/15.87e-3 = 3781 MBq/kg); ICRP 107 electrons alone give 15.53.
    ``formula_density_g_per_ml`` is the density that a formula fixes together with its energy (90Y: 1.03 with 50 J/GBq);
    None leaves it to the settings, where it stands beside the energy.
    """

    name: str
    half_life_h: float
    absorbed_energy_mj_per_mbq: float
    formula_density_g_per_ml: float | None = None

    def __post_init__(self) -> None:
        for name in ("half_life_h", "absorbed_energy_mj_per_mbq"):
            if not getattr(self, name) > 0:
                raise ValueError(f"Isotope.{name} is {getattr(self, name)}; expected a positive number.")

    def decay_factor(self, start: datetime, end: datetime) -> float:
        """Activity at `end` over activity at `start`: 2^(−Δt/T½). Before `start` it is above 1.

        Raises
        ------
        ValueError
            If a time has no time zone: an hour's slip is 2.6 % of dose.
        """
        for name, moment in (("start", start), ("end", end)):
            if moment.tzinfo is None:
                raise ValueError(f"decay_factor: {name} {moment.isoformat()} has no time zone; give an aware time.")
        hours = (end - start).total_seconds() / 3600.0
        # Times years apart (a wrong date) must give a dose that nobody believes, not an overflow; squares of it follow.
        return float(2.0 ** min(-hours / self.half_life_h, _MOST_HALF_LIVES))


def holmium_166(*, half_life_h: float = 26.80, absorbed_energy_mj_per_mbq: float = 15.87) -> Isotope:
    """166Ho: half-life 26.80 h (ICRP 107), absorbed energy 15.87 mJ/MBq (EMERITUS-1)."""
    return Isotope(name=HOLMIUM_166, half_life_h=half_life_h, absorbed_energy_mj_per_mbq=absorbed_energy_mj_per_mbq)


def yttrium_90() -> Isotope:
    """90Y: half-life 64.10 h (ICRP 107), 50 J/GBq with 1.03 g/mL (local deposition on PET, CRLM glass cohort)."""
    return Isotope(name=YTTRIUM_90, half_life_h=64.10, absorbed_energy_mj_per_mbq=50.0, formula_density_g_per_ml=1.03)
