"""A quench of 1,024 spins: correlations build up and spread over the lattice.

Spins on a periodic 32×32 lattice point down, the steady state without a drive. At t = 0 the drive g of the dissipative
Ising model is switched on, H = (V/4) Σ σzσz + (g/2) Σ σx, jumps σ⁻ at rate γ. Product states have no correlations; the
coupling makes them between neighbours first, then farther away, and decay limits how far they get.

What to look at: ⟨σzσz⟩ - ⟨σz⟩² of two sites at distance r along an axis, against time: the light cone. The farther
apart, the later it begins and the fainter it stays. Bands are the difference between clusters of two sizes, dots mark
where that is more than the correlation itself. Then all pairs around one site at one time, and the correlation length.

Clusters keep correlations of near sites by themselves, those of far ones where they are asked to: `pairs=REACH` keeps
two sites up to so many bonds apart, for m = 3 also with a neighbour of either, and takes what is left out as products
of what happens in two places. How right that is, a ring of eight spins tells beside its exact solution. The lattice is
uniform, so that a step costs the same on any size.

Usage: python quench_32x32.py [--output DIR] [--quick]
"""

from collections.abc import Sequence

import numpy as np
from common import BLUE, COLOURS, MARKERS, VERMILION, Run, begin, panels

import husimix as hx

COUPLING, DRIVE = 1.0, 1.0
DISTANCES = range(1, 7)
# m, the sites in a cluster.
SIZES = (3, 4)
# Bonds up to which two places are kept: farther than is looked at, so that the end of it is not seen.
REACH = 8
# Correlations of all pairs are looked at after so many save times each.
EVERY = 4


def model_of(lattice: hx.Lattice) -> hx.Lindbladian:
    """The model after the quench."""
    return hx.models.dissipative_ising(lattice, V=COUPLING, g=DRIVE)


def pairs_at(lattice: hx.Lattice, distance: int) -> hx.Operator:
    """σzσz of sites that far apart along the first axis, averaged over the lattice."""
    sites = np.arange(lattice.n_sites).reshape(lattice.shape)
    others = np.roll(sites, -distance, axis=0)
    terms = [hx.pauli("zz", int(i), int(j)) for i, j in zip(sites.flat, others.flat, strict=True)]
    return hx.operator_sum(terms) / lattice.n_sites


def evolve(lattice: hx.Lattice, times: np.ndarray, size: int, distances: Sequence[int]) -> hx.Result:
    """One run from all spins down."""
    return hx.mesolve(
        model_of(lattice),
        hx.product_state(lattice.n_sites, "down"),
        times,
        ansatz=hx.Clusters(size=size, pairs=REACH),
        observables={f"r{r}": pairs_at(lattice, r) for r in distances},
        save_states=True,
        progress=False,
    )


def connected(result: hx.Result | hx.exact.ExactResult, distances: Sequence[int]) -> np.ndarray:
    """(distance, T) ⟨σzσz⟩ - ⟨σz⟩²."""
    products = np.stack([np.real(result.expect[f"r{r}"]) for r in distances])
    return products - result.bloch[:, :, 2].mean(axis=1) ** 2


def error_on_a_ring(run: Run, times: np.ndarray, size: int) -> float:
    """The largest error of any connected correlation on a ring of eight spins, against exact integration."""
    ring, distances = hx.Lattice.chain(4 if run.quick else 8, periodic=True), range(1, 3 if run.quick else 5)
    observables = {f"r{r}": pairs_at(ring, r) for r in distances}
    start = hx.product_state(ring.n_sites, "down")
    exact = hx.exact.mesolve(model_of(ring), start, times, observables=observables)
    return float(np.abs(connected(evolve(ring, times, size, distances), distances) - connected(exact, distances)).max())


def around_centre(matrix: np.ndarray, lattice: hx.Lattice) -> np.ndarray:
    """A matrix of correlations as seen from one site, that site in the middle; nan there."""
    row = matrix[0].reshape(lattice.shape).copy()
    row[0, 0] = np.nan  # a spin with itself
    return np.roll(row, [n // 2 for n in lattice.shape], axis=(0, 1))


def draw(times: np.ndarray, values: np.ndarray, band: np.ndarray, view: np.ndarray, when: float, lengths: np.ndarray):
    """The light cone, curves with bands, the map, and the correlation length."""
    figure, (cone, curves, place, length) = panels(2, rows=2, size=(9.0, 7.0))
    edges = np.array([*DISTANCES, DISTANCES[-1] + 1]) - 0.5
    steps = np.concatenate([times[:1], (times[1:] + times[:-1]) / 2, times[-1:]])
    shades = cone.pcolormesh(steps, edges, np.log10(np.maximum(np.abs(values), 1e-6)), cmap="viridis", vmin=-5)
    figure.colorbar(shades, ax=cone, label="log10 |⟨σzσz⟩ - ⟨σz⟩²|")
    doubtful = np.abs(values) < band
    x, y = np.meshgrid(times, DISTANCES)
    cone.plot(x[doubtful], y[doubtful], ".", color="white", ms=1.5)
    cone.set(xlabel="time (1/γ)", ylabel="distance r (sites)", title="light cone of 1,024 spins; dots: below the band")
    cone.grid(False)
    for colour, marker, r, curve, width in zip(COLOURS, MARKERS, DISTANCES, values, band, strict=False):
        curves.fill_between(times, curve - width, curve + width, color=colour, alpha=0.25, lw=0)
        curves.plot(times, curve, marker=marker, ms=3.5, markevery=3, color=colour, lw=0.8, label=f"r = {r}")
    curves.set(xlabel="time (1/γ)", ylabel="⟨σzσz⟩ - ⟨σz⟩²", title="along an axis")
    curves.legend(fontsize=8)
    bound, reach = np.nanmax(np.abs(view)), np.array(view.shape) / 2
    sides = (-reach[0] - 0.5, reach[0] - 0.5, -reach[1] - 0.5, reach[1] - 0.5)
    image = place.imshow(view.T, origin="lower", cmap="PuOr", vmin=-bound, vmax=bound, extent=sides)
    figure.colorbar(image, ax=place, label="⟨σzσz⟩ - ⟨σz⟩²")
    near = min(6.5, reach.min() - 0.5)
    place.set(
        xlabel="x", ylabel="y", title=f"around one site, t = {when:.2g}/γ", xlim=(-near, near), ylim=(-near, near)
    )
    place.grid(False)
    for row, colour, size in zip(lengths[1:], (VERMILION, BLUE), SIZES, strict=True):
        length.plot(lengths[0], row, "o-", color=colour, lw=0.8, label=f"m = {size}")
    length.set(xlabel="time (1/γ)", ylabel="ξ (sites)", title="correlation length, by second moment", ylim=(0, None))
    length.legend(fontsize=8)
    return figure


def main() -> None:
    """All runs, then the figure."""
    run = begin(__file__, __doc__)
    side = 18 if run.quick else 32
    times = np.linspace(0, 0.5 if run.quick else 2.5, 6 if run.quick else 41)
    lattice = hx.Lattice.square(side, periodic=True)
    off = {size: error_on_a_ring(run, times, size) for size in SIZES}
    run.say(
        "ring of few spins, largest error of a correlation: " + ", ".join(f"m = {m}: {e:.1e}" for m, e in off.items())
    )
    found, matrices = [], []
    for size in SIZES:
        found.append(evolve(lattice, times, size, DISTANCES))
        run.say(f"m = {size}: {found[-1].wall_time:.0f} s, {found[-1].final_state!r}")
        seen = found[-1].states[EVERY - 1 :: EVERY]
        matrices.append([state.correlation("z", "z", connected=True) for state in seen])
        run.say("correlations of all pairs done")
    values, rough = (connected(result, DISTANCES) for result in (found[1], found[0]))
    band = np.abs(rough - values)
    for r, curve, width in zip(DISTANCES, values, band, strict=True):
        most = np.abs(curve).argmax()
        run.say(f"r = {r}: at most {curve[most]:.5f} ± {width[most]:.5f} at t = {times[most]:.2f}")
    looks = times[EVERY - 1 :: EVERY]
    lengths = np.array([looks, *([hx.correlations.correlation_length(lattice, c) for c in some] for some in matrices)])
    peak = int(np.argmin(np.abs(looks - times[values[1].argmax()])))
    profile = hx.correlations.over_distance(lattice, matrices[1][peak])
    factor = hx.correlations.structure_factor(lattice, matrices[1][peak], [[0.0, 0.0], [np.pi, 0.0], [np.pi, np.pi]])
    numbers = {
        "sizes": SIZES,
        "reach": REACH,
        "ring_error": off,
        "times": times,
        "distances": list(DISTANCES),
        "connected": values,
        "band": band,
        "begins": [
            times[np.argmax(np.abs(curve) > 1e-4)] if (np.abs(curve) > 1e-4).any() else None for curve in values
        ],
        "sigma_z": found[1].bloch[:, 0, 2],
        "sigma_z_band": np.abs(found[0].bloch - found[1].bloch)[:, 0, 2],
        "map_time": looks[peak],
        "profile": [profile.distances[:20], profile.means[:20]],
        "structure_factor": dict(zip(("0 0", "pi 0", "pi pi"), factor.values, strict=True)),
        "correlation_length": lengths,
    }
    run.save(draw(times, values, band, around_centre(matrices[1][peak], lattice), looks[peak], lengths), numbers)


if __name__ == "__main__":
    main()
