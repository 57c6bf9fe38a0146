"""The dissipative XYZ lattice across its ferromagnetic transition, where few components have a hard time.

H = Σ_bonds (Jx σxσx + Jy σyσy + Jz σzσz) with Jx = 0.9γ, Jz = γ and Jy scanned, jumps σ⁻ at rate γ, on periodic square
lattices. `hx.models.dissipative_xyz` counts each bond once and does not divide couplings by the number of neighbours,
z = 4. In this convention mean field orders where 16 z² (Jx - Jz)(Jz - Jy) > γ², from Jy = 1.039γ on.

A π rotation about z is a symmetry, so ⟨σx⟩ = ⟨σy⟩ = 0 on every finite lattice. What tells order are the means of
⟨σxσx⟩ and ⟨σyσy⟩ over all pairs of sites, Sxx and Syy: beyond the transition they keep a finite value as lattices grow,
before it they fall like 1/N.

What to look at: Sxx against Jy on lattices of 16 and 64 spins, 12/γ after all spins pointed down, beside mean field.
Bands are what still changes in the last 3/γ, or the largest difference of the best run from those with at least half
its components, whichever is more; every run is drawn in the second panel. The third shows the certificate: how fast
the exact motion leaves what K components can follow. Order lives in correlations at any distance, so this is an example
for mixtures: clusters keep those of neighbours.

Usage: python xyz_transition.py [--output DIR] [--quick]
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from common import COLOURS, GREY, MARKERS, Run, begin, panels

import husimix as hx

JX, JZ = 0.9, 1.0
COUPLINGS = (1.0, 1.04, 1.08, 1.15, 1.25)
# How long to evolve, and over how long at the end a change still counts as error, in 1/γ: states relax slowly here.
LAST, TAIL = 12.0, 3.0


class Plan(NamedTuple):
    """What is affordable on one lattice: its length, and (K, seed) of the runs, the best one last."""

    length: int
    runs: tuple[tuple[int, int], ...]


PLANS = (
    Plan(4, ((4, 0), (8, 0), (8, 1))),
    Plan(8, ((4, 0), (4, 1))),
)


class Ladder(NamedTuple):
    """Order at the end on one lattice.

    Attributes:
        plan: the lattice and its runs.
        order: (run, Jy, 2) Sxx and Syy.
        drift: (run, Jy, 2) by how much they changed in the last part.
        leak: (run, Jy) the projection error at the end, what K components cannot follow, in γ.
    """

    plan: Plan
    order: np.ndarray
    drift: np.ndarray
    leak: np.ndarray

    @property
    def name(self) -> str:
        """The lattice and the best K, for legends."""
        return f"{self.plan.length}×{self.plan.length}, K = {self.plan.runs[-1][0]}"

    @property
    def band(self) -> np.ndarray:
        """(Jy, 2) the drift of the best run, or its largest difference from those with at least half as many K."""
        near = [2 * count >= self.plan.runs[-1][0] for count, _ in self.plan.runs]
        return np.maximum(self.drift[-1], np.abs(self.order[near] - self.order[-1]).max(axis=0))


def order(lattice: hx.Lattice, letters: str) -> hx.Operator:
    """σσ of two different sites, averaged over all pairs."""
    pairs = list(combinations(range(lattice.n_sites), 2))
    return hx.operator_sum([hx.pauli(letters, i, j) for i, j in pairs]) / len(pairs)


def mean_field(couplings: Sequence[float]) -> np.ndarray:
    """(Jy, 2) ⟨σx⟩² and ⟨σy⟩² of mean field: one component in a metric so small that it is mean field."""
    lattice = hx.Lattice.square(3, periodic=True)  # mean field is the same on every lattice with four neighbours
    tilted = hx.product_state(9, np.array([0.1, -0.1, -0.98]))
    rows = []
    for jy in couplings:
        model = hx.models.dissipative_xyz(lattice, Jx=JX, Jy=jy, Jz=JZ)
        ansatz = hx.Mixture(components=1, metric=1e-4)
        run = hx.mesolve(model, tilted, [0, 100], ansatz=ansatz, symmetry="translations", progress=False)
        rows.append(run.bloch[-1, 0, :2] ** 2)
    return np.array(rows)


def climb(run: Run, plan: Plan, couplings: Sequence[float], times: np.ndarray) -> Ladder:
    """Order after a long time on one lattice, from all spins down, for all runs and couplings."""
    lattice = hx.Lattice.square(plan.length, periodic=True)
    start = hx.product_state(lattice.n_sites, "down")
    observables = {"xx": order(lattice, "xx"), "yy": order(lattice, "yy")}
    shape = len(plan.runs), len(couplings)
    found = Ladder(plan, np.empty((*shape, 2)), np.empty((*shape, 2)), np.empty(shape))
    for r, j in np.ndindex(shape):
        components, seed = plan.runs[r]
        result = hx.mesolve(
            hx.models.dissipative_xyz(lattice, Jx=JX, Jy=couplings[j], Jz=JZ),
            start,
            times,
            ansatz=hx.Mixture(components=components),
            seed=seed,
            observables=observables,
            progress=False,
        )
        tail = np.array([result.expect["xx"], result.expect["yy"]])[:, times >= times[-1] - TAIL]
        found.order[r, j], found.drift[r, j] = tail[:, -1], np.ptp(tail, axis=1)
        found.leak[r, j] = result.diagnostics["projection_error"][-1]
        which = f"{plan.length}×{plan.length}, K = {components}, seed {seed}, Jy = {couplings[j]:g}"
        values = f"Sxx {tail[0, -1]:.4f}, Syy {tail[1, -1]:.4f}, drift {found.drift[r, j].max():.4f}"
        run.say(f"{which}: {values}, projection error {found.leak[r, j]:.3f}γ, {result.wall_time:.0f} s")
    return found


def draw(couplings: Sequence[float], found: Sequence[Ladder], fine: np.ndarray):
    """Order against Jy on all lattices, every single run on the smallest, and the residuals."""
    figure, (left, middle, right) = panels(3, size=(10.2, 3.5))
    left.plot(*fine, color=GREY, ls="--", lw=1, label="mean field, ⟨σx⟩²")
    for colour, marker, ladder in zip(COLOURS, MARKERS, found, strict=False):
        values, width = ladder.order[-1, :, 0], ladder.band[:, 0]
        left.fill_between(couplings, values - width, values + width, color=colour, alpha=0.25, lw=0)
        left.plot(couplings, values, marker=marker, color=colour, lw=0.8, label=ladder.name)
        right.plot(couplings, ladder.leak[-1], marker=marker, color=colour, lw=0.8, label=ladder.name)
    left.set(xlabel="Jy (γ)", ylabel="Sxx", title="⟨σxσx⟩, mean over all pairs")
    left.legend(fontsize=8)
    for axes in (left, middle):
        axes.set_ylim(-0.03, 0.45)

    for colour, marker, ladder in zip(COLOURS, MARKERS, found, strict=False):
        for (count, _), values in zip(ladder.plan.runs, ladder.order, strict=True):
            size = {"ms": 2 + np.sqrt(3 * count), "mfc": "none", "color": colour}
            middle.plot(couplings, values[:, 0], marker, **size)
    middle.set(xlabel="Jy (γ)", ylabel="Sxx", title="every run, larger for larger K")
    right.set(yscale="log", xlabel="Jy (γ)", ylabel="projection error (γ)", title="certificate")
    return figure


def main() -> None:
    """All lattices, then the figure."""
    run = begin(__file__, __doc__)
    plans, couplings = ((Plan(3, ((1, 0), (2, 0))),), (1.0, 1.2)) if run.quick else (PLANS, COUPLINGS)
    times = np.linspace(0, 1 if run.quick else LAST, 13)
    fine = np.linspace(couplings[0], couplings[-1], 3 if run.quick else 40)
    ordered = np.array([fine, mean_field(fine)[:, 0]])
    run.say("mean field done")
    found = [climb(run, plan, couplings, times) for plan in plans]
    numbers = {
        "Jy": couplings,
        "mean_field": ordered,
        "plans": {ladder.name: ladder.plan.runs for ladder in found},
        "Sxx": {ladder.name: ladder.order[..., 0] for ladder in found},
        "Syy": {ladder.name: ladder.order[..., 1] for ladder in found},
        "band": {ladder.name: ladder.band for ladder in found},
        "drift": {ladder.name: ladder.drift for ladder in found},
        "projection_error": {ladder.name: ladder.leak for ladder in found},
    }
    run.save(draw(couplings, found, ordered), numbers)


if __name__ == "__main__":
    main()
