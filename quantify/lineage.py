"""How a cumulative dose hangs on the series and references that it was measured with.

The mass after image k is m_k = (R_k − R_r)/r2* against its reference r, on top of what lay there before if r is a new
baseline. Each gain of mass carries the specific activity of its own injections, D = Σ g_k·(m_k − m_{k−1})·r2* with g_k
the dose of 1 s⁻¹. So D is a weighted sum of the series' and the references' R2*; their weights say how far the scatter
of each moves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

ORIGINAL = ""
"""The name of the treatment's own reference; a new baseline and a new frame of reference have names of their own."""
FRAME = "frame "
"""How the name of a frame of reference begins that a series lies in without a baseline of its own."""

_Weights = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """Weights after the last image: of series k under ``"k"``, of a reference under its name with ``"-"`` before it."""

    n_series: int = 0
    references: tuple[str, ...] = (ORIGINAL,)
    mass: _Weights = field(default_factory=lambda: MappingProxyType({}))
    dose: _Weights = field(default_factory=lambda: MappingProxyType({}))
    before: Mapping[str, _Weights] = field(default_factory=lambda: MappingProxyType({}))
    """The mass that lay there before each new baseline."""

    def after(self, *, gy_per_s: float, baseline: str | None, frame: str = "") -> Lineage:
        """The lineage after one more series, whose gain is worth `gy_per_s` and which may have a baseline of its own.

        `baseline` names the new baseline that the series is held against; None for the original reference. `frame` is
        the frame of reference of a series that was re-positioned and has none: it errs by an offset of its own.
        """
        references, before = self.references, dict(self.before)
        reference = ORIGINAL if baseline is None else baseline
        if reference not in references:
            references = (*references, reference)
            before[reference] = self.mass
        mass = {str(self.n_series): 1.0, f"-{reference}": -1.0}
        if frame:
            mass[f"-{FRAME}{frame}"] = -1.0
            if FRAME + frame not in references:
                references = (*references, FRAME + frame)
        for name, weight in before.get(reference, {}).items():
            mass[name] = mass.get(name, 0.0) + weight
        gain = {name: mass.get(name, 0.0) - self.mass.get(name, 0.0) for name in (*self.mass, *mass)}
        dose = {
            name: self.dose.get(name, 0.0) + gy_per_s * gain.get(name, 0.0)
            for name in dict.fromkeys((*self.dose, *gain))
        }
        return replace(
            self,
            n_series=self.n_series + 1,
            references=references,
            mass=MappingProxyType(mass),
            dose=MappingProxyType(dose),
            before=MappingProxyType(before),
        )

    @property
    def series_gy_per_s(self) -> tuple[float, ...]:
        """Dose that 1 s⁻¹ in each series stands for."""
        return tuple(self.dose.get(str(k), 0.0) for k in range(self.n_series))

    @property
    def reference_gy_per_s(self) -> tuple[float, ...]:
        """Dose that 1 s⁻¹ in each reference takes away."""
        return tuple(-self.dose.get(f"-{name}", 0.0) for name in self.references)
