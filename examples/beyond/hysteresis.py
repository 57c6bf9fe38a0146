"""Hysteresis along a scan of steady states: how much of the loop is mean field, and what correlations leave of it.

The dissipative Ising model on a periodic 3×3 lattice, H = (V/4) Σ σzσz + (g/2) Σ σx with V = 5γ, jumps σ⁻ at rate γ. In
mean field the drive g has a window with two steady states, and a scan up and down again draws a loop. Nine spins have
one steady state, which `hx.exact.steadystate` knows: whatever loop is left belongs to the ansatz.

What to look at: the branches there (triangles to the right) and back (to the left) for one component, which in so small
a metric is mean field, and for more, on the exact line; and the area of the loop against K.

Usage: python hysteresis.py [--output DIR] [--quick]
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
import scipy.sparse
from common import COLOURS, GREY, Run, begin, panels

import husimix as hx

COUPLING = 5.0
DRIVES = np.array([2.0, 3.0, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0, 7.5, 8.0])
LATTICE = hx.Lattice.square(3, periodic=True)
# Beside a spinodal, searches are slow; what is not at rest after this time, in 1/γ, counts as it is.
LONGEST = 20.0


def model_of(g: float) -> hx.Lindbladian:
    """The model at drive g."""
    return hx.models.dissipative_ising(LATTICE, V=COUPLING, g=g)


def mean_field_branch(z: np.ndarray) -> np.ndarray:
    """The drive g at which mean field has the steady state ⟨σz⟩ = z, stable or not; the coupling detunes by 2Vz."""
    return np.sqrt(-(1 + 4 * (2 * COUPLING * z) ** 2) * (1 + z) / (2 * z))


class ExactTorus:
    """The exact steady state of nine spins, in the space of Pauli strings that are equal by the lattice's symmetries.

    The means of all 4⁹ strings obey d⟨P⟩/dt = ⟨𝓛†P⟩. Translations and the point group of the 3×3 torus, 72
    permutations, leave some 4,000 different ones. `hx.exact.steadystate` gives the same in minutes for each drive.

    Attributes:
        drive, coupling, decay: the generator of g, of V and of the decay as sparse matrices.
        sigma_z: the row of ⟨σz⟩.
    """

    def __init__(self):
        sites = np.arange(9).reshape(3, 3)
        turned = [np.rot90(s, k) for s in (sites, sites.T) for k in range(4)]
        shifts = list(product(range(3), repeat=2))
        permutations = {tuple(np.roll(s, by, (0, 1)).ravel().tolist()) for s in turned for by in shifts}
        # A string is a number with one digit for each site: 0, 1, 2, 3 for the identity, σx, σy, σz.
        self._place = 4 ** np.arange(8, -1, -1)
        digits = np.indices((4,) * 9).reshape(9, -1).T
        least = np.min([digits[:, list(p)] @ self._place for p in permutations], axis=0)
        self._kept, self._row = np.unique(least, return_inverse=True)
        d = digits[self._kept].T
        drive, coupling, decay = [], [], []
        for site, place in zip(d, self._place, strict=True):
            drive += [self._moved(site == 3, -place, 1.0), self._moved(site == 2, place, -1.0)]
            decay += [self._moved((site == 1) | (site == 2), 0, -0.5)]
            decay += [self._moved(site == 3, 0, -1.0), self._moved(site == 3, -3 * place, -1.0)]
        for i, j in (*LATTICE.bonds(), *LATTICE.bonds()[:, ::-1]):
            turns = ((d[i] == 1) | (d[i] == 2)) & ((d[j] == 0) | (d[j] == 3))
            by = (3 - 2 * d[i]) * self._place[i] + (3 - 2 * d[j]) * self._place[j]
            coupling.append(self._moved(turns, by, d[i] - 1.5))
        self.drive, self.coupling, self.decay = map(self._matrix, (drive, coupling, decay))
        self.sigma_z = self._row[3 * self._place[0]]

    def _moved(self, which: np.ndarray, by: np.ndarray | int, factor: np.ndarray | float) -> list[np.ndarray]:
        """Rows, columns and entries: how the strings `which` depend on those whose number differs `by` so much."""
        rows = np.flatnonzero(which)
        steps, factors = (np.broadcast_to(x, len(which))[rows] for x in (by, factor))
        return [rows, self._row[self._kept[rows] + steps], factors.astype(float)]

    def _matrix(self, entries: list[list[np.ndarray]]) -> scipy.sparse.csr_array:
        rows, columns, factors = map(np.concatenate, zip(*entries, strict=True))
        return scipy.sparse.coo_array((factors, (rows, columns)), shape=(len(self._kept),) * 2).tocsr()

    def __call__(self, g: float) -> float:
        """⟨σz⟩ at drive g."""
        generator = (COUPLING * self.coupling + g * self.drive + self.decay).toarray()
        # The first string is the identity, whose mean is 1.
        return float(np.linalg.solve(generator[1:, 1:], -generator[1:, 0])[self.sigma_z - 1])


def loop(run: Run, drives: np.ndarray, count: int) -> hx.Scan:
    """The scan there and back with some number of components."""
    # One component in a metric of weight 1e-4 is mean field; more components need the weight of correlations.
    ansatz = hx.Mixture(components=count, metric=1e-4 if count == 1 else "auto")
    found = hx.scan(model_of, drives, name="g", backward=True, ansatz=ansatz, max_time=LONGEST, progress=False)
    resting = sum(s.completed for s in (*found.forward, *found.backward))
    run.say(f"K = {count}: area {area(found):.3f}, {resting} of {2 * len(drives)} at rest")
    return found


def means(states: Sequence[hx.SteadyState]) -> np.ndarray:
    """⟨σz⟩ averaged over the sites, one for each state."""
    return np.array([s.bloch[:, 2].mean() for s in states])


def area(found: hx.Scan) -> float:
    """∫ |⟨σz⟩ there - ⟨σz⟩ back| dg, in γ."""
    return float(np.trapezoid(np.abs(means(found.forward) - means(found.backward)), found.values))


def draw(found: dict[int, hx.Scan], exact: np.ndarray):
    """The branches, and the area of the loop against the number of components."""
    figure, (left, right) = panels(2, size=(9.6, 4.0))
    z = np.linspace(-0.999, -0.002, 2000)
    left.plot(mean_field_branch(z), z, color=GREY, lw=1, ls="--", label="mean field")
    left.plot(*exact, color="black", lw=1.2, marker=".", ms=3, label="exact")
    for colour, (count, line) in zip(COLOURS, found.items(), strict=False):
        style = {"color": colour, "lw": 0.7, "ls": ":", "mfc": "none"}
        left.plot(line.values, means(line.forward), marker=">", label=f"K = {count}", **style)
        left.plot(line.values, means(line.backward), marker="<", **style)
    drives = next(iter(found.values())).values
    left.set(xlabel="drive g (γ)", ylabel="⟨σz⟩, mean over sites", xlim=(drives[0] - 0.3, drives[-1] + 0.3))
    left.set(title=f"3×3 torus, V = {COUPLING:g}γ: there ▷, back ◁")
    left.legend(fontsize=8, loc="upper left")

    counts, areas = list(found), [area(line) for line in found.values()]
    for colour, count, size in zip(COLOURS, counts, areas, strict=False):
        right.plot(count, size, "o", color=colour)
    right.axhline(0, color="black", lw=1.2, label="exact")
    right.set(xscale="log", xlabel="components K", ylabel="area of the loop (γ)", title="∫ |⟨σz⟩ there - back| dg")
    right.set_xticks(counts, [str(count) for count in counts])
    right.minorticks_off()
    right.legend()
    return figure


def main() -> None:
    """All numbers of components, then the figure."""
    run = begin(__file__, __doc__)
    counts, drives = ((1, 2), DRIVES[4::5]) if run.quick else ((1, 4, 8), DRIVES)
    found = {count: loop(run, drives, count) for count in counts}
    torus = ExactTorus()
    exact = np.array([drives, [torus(g) for g in drives]])
    run.say("exact line done")
    numbers = {
        "g": drives,
        "exact": exact[1],
        "components": counts,
        "there": [means(line.forward) for line in found.values()],
        "back": [means(line.backward) for line in found.values()],
        "residual": [[s.residual for s in line.forward] for line in found.values()],
        "at_rest": [[s.completed for s in (*line.forward, *line.backward)] for line in found.values()],
        "area": [area(line) for line in found.values()],
    }
    run.save(draw(found, exact), numbers)


if __name__ == "__main__":
    main()
