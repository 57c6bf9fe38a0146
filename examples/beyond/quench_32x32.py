"""A quench of 1,024 spins: correlations build up and spread over the lattice.

Spins on a periodic 32×32 lattice point down, the steady state without a drive. At t = 0 the drive g of the dissipative
Ising model is switched on, H = (V/4) Σ σzσz + (g/2) Σ σx, jumps σ⁻ at rate γ. Product states have no correlations; the
coupling makes them between neighbours first, then farther away, and decay limits how far they get.

What to look at: ⟨σzσz⟩ - ⟨σz⟩² of two sites at distance r along an axis, against time. The farther apart, the later it
begins and the fainter it stays. Bands are the difference between clusters of three and of four sites. They say how far
out the picture can be believed. Then all pairs at once, by `state.correlation` at one time.

Clusters keep all correlations of neighbouring sites. Those of two sites far apart are kept where they are asked for:
the pairs of one site with every site up to eight cells away along each axis are added by hand (`extra`), and by
symmetry all others like them. A far pair is driven by the pairs next to it; correlations of three sites that are spread
as far are left out. The lattice is uniform, so that a step costs the same on any size.

Usage: python quench_32x32.py [--output DIR] [--quick]
"""

import numpy as np
from common import COLOURS, MARKERS, begin, panels

import husimix as hx
from husimix.state import AbstractState

COUPLING, DRIVE = 2.0, 2.0
DISTANCES = range(1, 7)
# m, the sites in a cluster.
SIZES = (3, 4)
# Pairs are kept as far as this along each axis: farther than is looked at, so that the end of it is not seen.
REACH = 8


def pairs_at(lattice: hx.Lattice, distance: int) -> hx.Operator:
    """σzσz of sites that far apart along the first axis, averaged over the lattice."""
    sites = np.arange(lattice.n_sites).reshape(lattice.shape)
    others = np.roll(sites, -distance, axis=0)
    terms = [hx.pauli("zz", int(i), int(j)) for i, j in zip(sites.flat, others.flat, strict=True)]
    return hx.operator_sum(terms) / lattice.n_sites


def far_pairs(lattice: hx.Lattice) -> tuple[tuple[int, int], ...]:
    """Site 0 with every other site up to REACH cells away along each axis."""
    sites = np.arange(lattice.n_sites).reshape(lattice.shape)
    near = np.arange(-REACH, REACH + 1)
    return tuple((0, int(j)) for j in sites[np.ix_(near, near)].ravel() if j != 0)


def connected(result: hx.Result) -> np.ndarray:
    """(distance, T) ⟨σzσz⟩ - ⟨σz⟩²."""
    products = np.stack([result.expect[f"r{r}"] for r in DISTANCES])
    return products - result.bloch[:, 0, 2] ** 2


def around_centre(state: AbstractState, lattice: hx.Lattice) -> np.ndarray:
    """⟨σzσz⟩ - ⟨σz⟩² of one site with all others, that site in the middle; nan there."""
    row = state.correlation("z", "z", connected=True)[0].reshape(lattice.shape)
    row[0, 0] = np.nan  # a spin with itself
    return np.roll(row, [n // 2 for n in lattice.shape], axis=(0, 1))


def draw(times: np.ndarray, values: np.ndarray, band: np.ndarray, view: np.ndarray, when: float):
    """Distance against time, curves with bands, and the map."""
    figure, (left, middle, right) = panels(3, size=(10.2, 3.3))
    edges = np.array([*DISTANCES, DISTANCES[-1] + 1]) - 0.5
    steps = np.concatenate([times[:1], (times[1:] + times[:-1]) / 2, times[-1:]])
    shades = left.pcolormesh(steps, edges, np.log10(np.maximum(np.abs(values), 1e-6)), cmap="viridis", vmin=-4)
    figure.colorbar(shades, ax=left, label="log10 |⟨σzσz⟩ - ⟨σz⟩²|")
    doubtful = np.abs(values) < band
    x, y = np.meshgrid(times, DISTANCES)
    left.plot(x[doubtful][::2], y[doubtful][::2], ".", color="white", ms=1.5)
    left.set(xlabel="time (1/γ)", ylabel="distance r (sites)", title="dots: below the band")
    left.grid(False)
    for colour, marker, r, curve, width in zip(COLOURS, MARKERS, DISTANCES, values, band, strict=False):
        middle.fill_between(times, curve - width, curve + width, color=colour, alpha=0.25, lw=0)
        middle.plot(times, curve, marker=marker, ms=3.5, markevery=3, color=colour, lw=0.8, label=f"r = {r}")
    middle.set(xlabel="time (1/γ)", ylabel="⟨σzσz⟩ - ⟨σz⟩²", title="along an axis")
    middle.legend(fontsize=7.5, loc="upper left")
    bound = np.nanmax(np.abs(view))
    reach = np.array(view.shape) / 2
    sides = (-reach[0] - 0.5, reach[0] - 0.5, -reach[1] - 0.5, reach[1] - 0.5)
    image = right.imshow(view.T, origin="lower", cmap="PuOr", vmin=-bound, vmax=bound, extent=sides)
    figure.colorbar(image, ax=right, label="⟨σzσz⟩ - ⟨σz⟩²")
    near = min(6.5, reach.min() - 0.5)
    right.set(xlabel="x", ylabel="y", title=f"around one site, t = {when:.2g}/γ", xlim=(-near, near))
    right.set_ylim(-near, near)
    right.grid(False)
    return figure


def main() -> None:
    """All runs, then the figure."""
    run = begin(__file__, __doc__)
    length, sizes = (18, (2, 3)) if run.quick else (32, SIZES)
    times = np.linspace(0, 0.5 if run.quick else 2.5, 6 if run.quick else 51)
    lattice = hx.Lattice.square(length, periodic=True)
    model = hx.models.dissipative_ising(lattice, V=COUPLING, g=DRIVE)
    start, extra = hx.product_state(lattice.n_sites, "down"), far_pairs(lattice)
    observables = {f"r{r}": pairs_at(lattice, r) for r in DISTANCES}
    found = []
    for size in sizes:
        ansatz = hx.Clusters(size=size, extra=extra)
        result = hx.mesolve(
            model, start, times, ansatz=ansatz, observables=observables, save_states=True, progress=False
        )
        error = np.nanmax(result.diagnostics["projection_error"])
        run.say(f"m = {size}: {result.wall_time:.0f} s, projection error at most {error:.3f}")
        found.append(result)
    rough, best = found
    values = connected(best)
    band = np.abs(connected(rough) - values)
    peak = int(values[1].argmax())
    for r, curve, width in zip(DISTANCES, values, band, strict=True):
        most = np.abs(curve).argmax()
        run.say(f"r = {r}: at most {curve[most]:.4f} ± {width[most]:.4f} at t = {times[most]:.2f}")
    view = around_centre(best.states[peak], lattice)
    run.say("correlations of all pairs done")
    numbers = {
        "sizes": sizes,
        "times": times,
        "distances": list(DISTANCES),
        "connected": values,
        "band": band,
        "sigma_z": best.bloch[:, 0, 2],
        "sigma_z_band": np.abs(rough.bloch - best.bloch)[:, 0, 2],
        "projection_error": best.diagnostics["projection_error"][1:],
        "map_time": times[peak],
    }
    run.save(draw(times, values, band, view, times[peak]), numbers)


if __name__ == "__main__":
    main()
