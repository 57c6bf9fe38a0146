"""Sixty-four spins in random fields: no symmetry, every site for itself, and an error bar on each.

The dissipative Ising model on an open 8×8 lattice, H = (V/4) Σ σzσz + ½ Σ (g σx + h_i σz), jumps σ⁻ at rate γ, with
fields h_i drawn evenly between 0 and 3γ. A neighbour that points down shifts a spin by -V/2, so sites are in resonance
with the drive where h_i makes up for their neighbours. Without symmetries a mixture would need ever more components on
larger lattices; clusters take every site for itself, and their error for each does not depend on the lattice.

What to look at: the map of ⟨σz⟩ at the end, site by site, and beside it the map of the errors, the largest of any
⟨σ⟩ at any time: what the last step of the ladder m = 2, 3, 4, … changed (`result.errors`). It ended where that was
below `tol` on all sites. Then ⟨σz⟩ against the field that a site feels with the means of its neighbours counted in: the
line is a single spin in that field. Then a check that the run itself cannot give: the corner site has a near-exact
solution, since it hardly feels what lies beyond three sites. Patches of 2×4 and 3×3 sites with their own fields,
solved exactly (lines), tell how far that holds; the band is the corner of all 64 spins with its error, beside mean
field.

Usage: python disorder_8x8.py [--output DIR] [--quick]
"""

import numpy as np
from common import BLUE, GREY, VERMILION, begin, panels

import husimix as hx

COUPLING, DRIVE, WIDEST = 1.0, 1.0, 3.0
FIELD_SEED = 2604
TOLERANCE = 5e-3


def model_of(fields: np.ndarray) -> hx.Lindbladian:
    """The model on an open lattice of the shape of its fields."""
    lattice = hx.Lattice.square(*fields.shape)
    bonds = [COUPLING / 4 * hx.pauli("zz", i, j) for i, j in lattice.bonds()]
    sites = [DRIVE / 2 * hx.sigmax(i) + h / 2 * hx.sigmaz(i) for i, h in enumerate(fields.ravel())]
    channels = [hx.Dissipator(hx.sigmam(i), rate=1.0) for i in range(lattice.n_sites)]
    return hx.Lindbladian(hx.operator_sum([*bonds, *sites]), channels, lattice=lattice)


def evolve(fields: np.ndarray, times: np.ndarray, ansatz: hx.Clusters, tol: float | None = None) -> hx.Result:
    """A run from all spins down, of one size of clusters or of the ladder up to a tolerance."""
    start = hx.product_state(fields.size, "down")
    return hx.mesolve(model_of(fields), start, times, ansatz=ansatz, tol=tol, progress=False)


def exact(fields: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T, N, 3) Bloch vectors of the same by QuTiP."""
    return hx.exact.mesolve(model_of(fields), hx.product_state(fields.size, "down"), times).bloch


def felt_fields(fields: np.ndarray, z: np.ndarray) -> np.ndarray:
    """h_i + (V/2) Σ ⟨σz⟩ of the neighbours, (N,): what a site feels in mean field, given the means."""
    felt = fields.ravel().copy()
    for i, j in hx.Lattice.square(*fields.shape).bonds():
        felt[i] += COUPLING / 2 * z[j]
        felt[j] += COUPLING / 2 * z[i]
    return felt


def single_spin(field: np.ndarray) -> np.ndarray:
    """⟨σz⟩ of one driven and decaying spin at rest, γ = 1."""
    return -(1 + 4 * field**2) / (1 + 4 * field**2 + 2 * DRIVE**2)


def draw(fields: np.ndarray, found: hx.Result, mean_field: hx.Result, patches: dict[str, np.ndarray]):
    """The two maps, the scatter and the check of the corner."""
    figure, (spins, errors, scatter, corner) = panels(2, rows=2, size=(9.0, 7.6))
    times, z = found.times, found.bloch[-1, :, 2]
    bars = found.errors["bloch"]
    image = spins.imshow(z.reshape(fields.shape).T, origin="lower", cmap="cividis")
    figure.colorbar(image, ax=spins, label="⟨σz⟩", shrink=0.85)
    for (x, y), h in np.ndenumerate(fields):
        colour = "black" if z.reshape(fields.shape)[x, y] > (z.min() + z.max()) / 2 else "white"
        spins.text(x, y, f"{h:.1f}", ha="center", va="center", fontsize=6.5, color=colour)
    spins.set(title=f"⟨σz⟩ at t = {times[-1]:g}/γ; numbers: h_i/γ", xlabel="x", ylabel="y")
    image = errors.imshow(1e3 * bars.max(axis=(0, 2)).reshape(fields.shape).T, origin="lower", cmap="magma_r", vmin=0)
    figure.colorbar(image, ax=errors, label="largest estimated error of ⟨σ⟩ (10⁻³)", shrink=0.85)
    errors.set(title="error of each site, all times", xlabel="x", ylabel="y")
    for panel in (spins, errors):
        panel.grid(False)

    felt = felt_fields(fields, z)
    line = np.linspace(felt.min() - 0.3, felt.max() + 0.3, 300)
    scatter.plot(line, single_spin(line), color=GREY, label="single spin at rest")
    scatter.errorbar(felt, z, bars[-1, :, 2], fmt="o", color=BLUE, elinewidth=1.2, ms=3, label=f"{fields.size} sites")
    scatter.set(xlabel="field felt, h_i + (V/2) Σ⟨σz⟩ (γ)", ylabel="⟨σz⟩", title="one marker a site")
    scatter.legend(fontsize=8)

    for (name, values), style in zip(patches.items(), ("--", "-"), strict=True):
        corner.plot(times, values[:, 0, 0], style, color="black", lw=1.0, label=f"exact {name} patch")
    value, error = found.bloch[:, 0, 0], bars[:, 0, 0]
    corner.fill_between(times, value - error, value + error, color=BLUE, alpha=0.3, lw=0)
    label = f"clusters of {found.settings['ansatz']['size']}, with error"
    corner.plot(times[::2], value[::2], "o", color=BLUE, mfc="none", ms=4, label=label)
    corner.plot(times[::2], mean_field.bloch[::2, 0, 0], "x", color=VERMILION, ms=4, label="mean field")
    corner.set(xlabel="time (1/γ)", ylabel="⟨σx⟩", title="the corner site")
    corner.legend(fontsize=8)
    return figure


def main() -> None:
    """Patches, the whole lattice, and how they differ."""
    run = begin(__file__, __doc__)
    side, last, tol = (4, 1.0, 2e-2) if run.quick else (8, 5.0, TOLERANCE)
    times = np.linspace(0, last, 11 if run.quick else 41)
    fields = np.random.default_rng(FIELD_SEED).uniform(0, WIDEST, (side, side))
    cuts = (fields[:2, :2], fields[:2, :3]) if run.quick else (fields[:2, :4], fields[:3, :3])
    patches = {f"{cut.shape[0]}×{cut.shape[1]}": exact(cut, times) for cut in cuts}
    first, second = patches.values()
    run.say(f"exact patches differ by {np.abs(first[:, 0] - second[:, 0]).max():.1e} at the corner")
    small = evolve(cuts[0], times, hx.Clusters(), tol)
    off = np.abs(small.bloch - first)
    run.say(f"small patch: worst error {off.max():.1e}, estimated {np.nanmax(small.errors['bloch']):.1e}")

    mean_field = evolve(fields, times, hx.Clusters(size=1))
    found = evolve(fields, times, hx.Clusters(), tol)
    bars = found.errors["bloch"]
    corner = {
        "clusters": np.abs(found.bloch[:, 0] - second[:, 0]).max(),
        "mean field": np.abs(mean_field.bloch[:, 0] - second[:, 0]).max(),
    }
    run.say(f"{found.settings['rungs']}: {found.status.name}, {found.wall_time:.0f} s with compilation")
    run.say(f"errors up to {bars.max():.1e}, median at the end {np.median(bars[-1]):.1e}")
    run.say("from the larger exact patch at the corner: " + ", ".join(f"{n} {e:.1e}" for n, e in corner.items()))
    z = found.bloch[-1, :, 2]
    numbers = {
        "tol": tol,
        "rungs": found.settings["rungs"],
        "status": found.status.name,
        "fields": fields,
        "felt": felt_fields(fields, z),
        "sigma_z": z,
        "error_sigma_z": bars[-1, :, 2],
        "largest_error": bars.max(axis=(0, 2)),
        "projection_error_site": found.diagnostics["projection_error_site"][1:].max(axis=0),
        "times": times,
        "corner_sigma_x": found.bloch[:, 0, 0],
        "corner_sigma_x_error": bars[:, 0, 0],
        "corner_sigma_x_exact": {name: values[:, 0, 0] for name, values in patches.items()},
        "corner_error": corner,
        "small_patch_error": off.max(),
        "small_patch_estimate": np.nanmax(small.errors["bloch"]),
    }
    run.save(draw(fields, found, mean_field, patches), numbers)


if __name__ == "__main__":
    main()
