"""Bistability against the accuracy of the ansatz: what clusters of growing size leave of mean field's fold.

The dissipative Ising model on the infinite square lattice, H = (V/4) Σ σzσz + (g/2) Σ σx with V = 5γ, jumps σ⁻ at rate
γ. In mean field the drive g has a window with two stable steady states, between two folds of their curve.

What to look at: the curve for each cluster size m, stable parts full and unstable parts dotted, folds as circles; and
the width of the window against m. A window that shrinks as m grows measures the error of the ansatz; it proves neither
that the lattice has a window nor, once it has closed, that it has none.

Usage: python bistability.py [--output DIR] [--quick]
"""

from itertools import pairwise

import numpy as np
from common import COLOURS, begin, panels

import husimix as hx

COUPLING = 5.0
DRIVES = np.linspace(3.5, 8, 19)
# Periodic and larger than 2m cells in each direction: infinite to the clusters.
LATTICE = hx.Lattice.square(16, 16, periodic=True)


def curve(size: int) -> hx.Scan:
    """The curve of steady states of clusters of one size, through its folds."""
    return hx.scan(
        lambda g: hx.models.dissipative_ising(LATTICE, V=COUPLING, g=g),
        DRIVES,
        name="g",
        follow_folds=True,
        ansatz=hx.Clusters(size=size),
        progress=False,
    )


def draw(found: dict[int, hx.Scan], widths: list[float]):
    """The curves, and the width of the window against the cluster size."""
    figure, (left, right) = panels(2, size=(9.6, 4.0))
    for colour, (size, line) in zip(COLOURS, found.items(), strict=False):
        g, z, stable = (np.asarray(x) for x in (line.branch.values, mean_z(line), line.branch.is_stable))
        # Parts of one stability in one style, each up to where the next begins.
        starts = [0, *(np.flatnonzero(np.diff(stable.astype(int))) + 1), len(g)]
        for first, end in pairwise(starts):
            part = slice(first, end + 1)
            style = {"ls": "-", "lw": 1.6} if stable[first] else {"ls": ":", "lw": 1.2}
            left.plot(g[part], z[part], color=colour, label=f"m = {size}" if first == 0 else None, **style)
        for fold in line.branch.folds:
            left.plot(fold, z[np.abs(g - fold).argmin()], "o", color=colour, mfc="white", zorder=3)
    left.set(xlabel="drive g (γ)", ylabel="⟨σz⟩", title=f"infinite square lattice, V = {COUPLING:g}γ")
    left.legend(fontsize=8)
    right.plot(list(found), widths, "o", color=COLOURS[0], clip_on=False)
    right.set(xlabel="cluster size m", ylabel="width of the window (γ)", title="distance of the folds")
    right.set_xticks(list(found))
    right.set_ylim(0, None)
    return figure


def mean_z(line: hx.Scan) -> np.ndarray:
    """⟨σz⟩ along the curve, averaged over the sites."""
    return np.asarray(line.branch.bloch)[..., 2].mean(axis=-1)


def main() -> None:
    """All cluster sizes, then the figure."""
    run = begin(__file__, __doc__)
    found = {}
    for size in (1,) if run.quick else (1, 2, 3):
        found[size] = curve(size)
        run.say(f"m = {size}: folds at {found[size].branch.folds}")
    folds = [list(map(float, line.branch.folds)) for line in found.values()]
    widths = [float(np.ptp(f)) if f else 0.0 for f in folds]
    numbers = {
        "m": list(found),
        "folds": folds,
        "width": widths,
        "g": [line.branch.values for line in found.values()],
        "sigma_z": [mean_z(line) for line in found.values()],
        "is_stable": [line.branch.is_stable for line in found.values()],
    }
    run.save(draw(found, widths), numbers)


if __name__ == "__main__":
    main()
