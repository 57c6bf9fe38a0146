"""The dissipative XYZ lattice: where its ferromagnetic order ends, as the ansatz grows.

H = Σ_bonds (Jx σxσx + Jy σyσy + Jz σzσz) with Jx = 0.9γ, Jz = γ and Jy scanned, jumps σ⁻ at rate γ, on the infinite
square lattice: a periodic one larger than clusters can tell from it. `hx.models.dissipative_xyz` counts each bond once
and does not divide couplings by the number of neighbours, z = 4. In this convention mean field orders where
16 z² (Jx - Jz)(Jz - Jy) > γ², from Jy = 1.039γ on.

A π rotation about z is a symmetry. Steady states that break it, ⟨σx⟩ ≠ 0, are looked for from a tilted start at
Jy = 1.15γ, in the middle of the order, and from there step by step to smaller and to greater Jy, for clusters of
m = 1, 2, 3, 4 sites; the first is mean field.

What to look at: the order parameter ⟨σx⟩ against Jy for each m. At small Jy all m agree on where order begins; at great
Jy mean field and clusters of two keep it for ever, larger clusters end it, the sooner the larger they are. What changes
from m to m + 1 measures the error; the second panel has it. The third has the slowest relaxation rate, the gap of the
linearised equations: it closes where order begins, continuously, and does not where it ends. Empty markers are states
that had not come to rest in the time given.

Usage: python xyz_transition.py [--output DIR] [--quick]
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from common import COLOURS, GREY, MARKERS, Run, begin, panels

import husimix as hx

JX, JZ = 0.9, 1.0
MIDDLE = 1.15
BELOW = (1.12, 1.09, 1.07, 1.06, 1.05, 1.04, 1.03, 1.01, 1.0)
ABOVE = (1.2, 1.25, 1.3, 1.35, 1.4, 1.5, 1.6)
SIZES = (1, 2, 3, 4)
# Where the search begins: mean values of a spin that points down and aside.
TILTED = np.array([0.4, -0.4, -0.6])


class Line(NamedTuple):
    """Steady states of clusters of one size, by rising Jy.

    Attributes:
        order: (S,) |⟨σx⟩|.
        gap: (S,) the slowest relaxation rate.
        is_found: (S,) whether the state is stationary.
    """

    order: np.ndarray
    gap: np.ndarray
    is_found: np.ndarray


def line_of(run: Run, lattice: hx.Lattice, size: int, ways: Sequence[Sequence[float]]) -> Line:
    """Steady states from the middle of the order downwards and upwards."""
    start = hx.product_state(lattice.n_sites, TILTED)
    rows = {}
    for values in ways:
        found = hx.scan(
            lambda jy: hx.models.dissipative_xyz(lattice, Jx=JX, Jy=jy, Jz=JZ),
            values,
            start,
            name="Jy",
            ansatz=hx.Clusters(size=size),
            progress=False,
        )
        for value, steady in zip(found.values, found.forward, strict=True):
            rows[value] = abs(steady.bloch[0, 0]), steady.gap, steady.completed
    order, gap, is_found = (np.array(x) for x in zip(*(rows[value] for value in sorted(rows)), strict=True))
    kept = [value for value in sorted(rows) if rows[value][0] > 1e-2]
    run.say(f"m = {size}: order from Jy = {min(kept, default=np.nan):g} to {max(kept, default=np.nan):g}")
    return Line(order, gap, is_found)


def draw(couplings: np.ndarray, lines: dict[int, Line]):
    """Order, what the next size changes, and the gap."""
    figure, (order, change, gap) = panels(3, size=(11.4, 3.8))
    for colour, marker, (size, line) in zip(COLOURS, MARKERS, lines.items(), strict=False):
        for panel, values in ((order, line.order), (gap, line.gap)):
            panel.plot(couplings, values, color=colour, lw=0.9)
            panel.plot(couplings[line.is_found], values[line.is_found], marker, color=colour, label=f"m = {size}")
            panel.plot(couplings[~line.is_found], values[~line.is_found], marker, color=colour, mfc="white")
    order.axvline(threshold(), color=GREY, lw=0.8, ls="--")
    order.set(xlabel="Jy (γ)", ylabel="|⟨σx⟩|", title="order; dashed: threshold of mean field")
    order.legend(fontsize=8, loc="lower center")
    sizes = list(lines)
    for colour, marker, (before, after) in zip(COLOURS[1:], MARKERS[1:], pairwise(sizes), strict=False):
        difference = np.abs(lines[after].order - lines[before].order)
        change.plot(couplings, difference, marker=marker, color=colour, lw=0.9, label=f"{before} to {after}")
    change.set(xlabel="Jy (γ)", ylabel="change of |⟨σx⟩|", title="from m to m + 1", yscale="log", ylim=(1e-4, 1))
    change.legend(fontsize=8)
    gap.axhline(0, color=GREY, lw=0.8)
    gap.set(xlabel="Jy (γ)", ylabel="gap (γ)", title="slowest relaxation rate")
    return figure


def threshold() -> float:
    """Jy above which mean field orders: 16 z² (Jx - Jz)(Jz - Jy) = γ² = 1 with z = 4."""
    return JZ + 1 / (16 * 16 * (JZ - JX))


def main() -> None:
    """All sizes, then the figure."""
    run = begin(__file__, __doc__)
    below, above, sizes = (BELOW, ABOVE, SIZES) if not run.quick else ((1.0,), (1.25,), (1, 2))
    lattice = hx.Lattice.square(6 if run.quick else 10, periodic=True)
    ways = [(MIDDLE, *below), (MIDDLE, *above)]
    couplings = np.array(sorted({MIDDLE, *below, *above}))
    lines = {size: line_of(run, lattice, size, ways) for size in sizes}
    numbers = {
        "Jy": couplings,
        "threshold_of_mean_field": threshold(),
        "order": {size: line.order for size, line in lines.items()},
        "gap": {size: line.gap for size, line in lines.items()},
        "is_stationary": {size: line.is_found for size, line in lines.items()},
    }
    run.save(draw(couplings, lines), numbers)


if __name__ == "__main__":
    main()
