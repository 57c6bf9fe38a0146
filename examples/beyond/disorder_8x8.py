"""Sixty-four spins in random fields: no symmetry, every site for itself, and what that costs in accuracy.

The dissipative Ising model on an open 8×8 lattice, H = (V/4) Σ σzσz + ½ Σ (g σx + h_i σz), jumps σ⁻ at rate γ, with
fields h_i drawn evenly between 0 and 3γ. A neighbour that points down shifts a spin by -V/2, so sites are in resonance
with the drive where h_i makes up for their neighbours. Without symmetries a mixture would need ever more components on
larger lattices; clusters take every site for itself, and their error for each does not depend on the lattice.

What to look at: the map of ⟨σz⟩ at the end, site by site. Then ⟨σz⟩ against the field that a site feels with the means
of its neighbours counted in: the line is a single spin in that field; bars are the difference between clusters of three
and of four sites. Then a check that the runs themselves cannot give: the corner site has a near-exact solution, since
it hardly feels what lies beyond three sites. Patches of 2×4 and 3×3 sites with their own fields, solved exactly
(lines), tell how far that holds; markers are the corner of all 64 spins, mean field (m = 1) among them. The 2×4 patch
itself is repeated by husimix as well, to tell a small lattice from a large one.

Usage: python disorder_8x8.py [--output DIR] [--quick]
"""

import numpy as np
from common import BLUE, COLOURS, GREY, MARKERS, Run, begin, panels

import husimix as hx

COUPLING, DRIVE, WIDEST = 1.0, 1.0, 3.0
FIELD_SEED = 2604
# m, the sites in a cluster: mean field, then the two that are compared; the last is the best.
SIZES = (1, 3, 4)


def model_of(fields: np.ndarray) -> hx.Lindbladian:
    """The model on an open lattice of the shape of its fields."""
    lattice = hx.Lattice.square(*fields.shape)
    bonds = [COUPLING / 4 * hx.pauli("zz", i, j) for i, j in lattice.bonds()]
    sites = [DRIVE / 2 * hx.sigmax(i) + h / 2 * hx.sigmaz(i) for i, h in enumerate(fields.ravel())]
    channels = [hx.Dissipator(hx.sigmam(i), rate=1.0) for i in range(lattice.n_sites)]
    return hx.Lindbladian(hx.operator_sum([*bonds, *sites]), channels, lattice=lattice)


def evolve(run: Run, fields: np.ndarray, times: np.ndarray, size: int) -> hx.Result:
    """One run from all spins down."""
    start = hx.product_state(fields.size, "down")
    result = hx.mesolve(model_of(fields), start, times, ansatz=hx.Clusters(size=size), progress=False)
    error = np.nanmax(result.diagnostics["projection_error"])
    which = f"{fields.shape[0]}×{fields.shape[1]}, m = {size}"
    run.say(f"{which}: {result.wall_time:.0f} s, projection error at most {error:.2f}γ")
    return result


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


def draw(fields, times, found, bars, patches):
    """The map, the scatter and the check of the corner."""
    figure, (left, middle, right) = panels(3, size=(10.2, 3.5))
    z = list(found.values())[-1].bloch[-1, :, 2]
    image = left.imshow(z.reshape(fields.shape).T, origin="lower", cmap="cividis")
    figure.colorbar(image, ax=left, label="⟨σz⟩", shrink=0.85)
    for (x, y), h in np.ndenumerate(fields):
        colour = "black" if z.reshape(fields.shape)[x, y] > (z.min() + z.max()) / 2 else "white"
        left.text(x, y, f"{h:.1f}", ha="center", va="center", fontsize=6, color=colour)
    left.set(title=f"⟨σz⟩, t = {times[-1]:g}/γ; h_i/γ", xlabel="x", ylabel="y")
    left.grid(False)

    felt = felt_fields(fields, z)
    line = np.linspace(felt.min() - 0.3, felt.max() + 0.3, 300)
    middle.plot(line, single_spin(line), color=GREY, label="single spin at rest")
    middle.errorbar(felt, z, bars[-1, :, 2], fmt="o", color=BLUE, elinewidth=0.8, ms=4, label=f"{fields.size} sites")
    middle.set(xlabel="field felt, h_i + (V/2) Σ⟨σz⟩ (γ)", ylabel="⟨σz⟩", title="one marker a site")
    middle.legend(fontsize=8)

    for (name, values), style in zip(patches.items(), ("--", "-"), strict=True):
        right.plot(times, values[:, 0, 0], style, color="black", lw=1.2, label=f"exact {name} patch")
    for colour, marker, (size, result) in zip(COLOURS, MARKERS, found.items(), strict=False):
        right.plot(times[::2], result.bloch[::2, 0, 0], marker, color=colour, mfc="none", ms=4, label=f"m = {size}")
    right.set(xlabel="time (1/γ)", ylabel="⟨σx⟩", title="the corner site")
    right.legend(fontsize=7.5)
    return figure


def main() -> None:
    """Patches, the whole lattice, and how they differ."""
    run = begin(__file__, __doc__)
    side, sizes, last = (4, (1, 2), 1.0) if run.quick else (8, SIZES, 5.0)
    times = np.linspace(0, last, 11 if run.quick else 41)
    fields = np.random.default_rng(FIELD_SEED).uniform(0, WIDEST, (side, side))
    small = fields[:2, : 3 if run.quick else 4]
    large = fields[:2, :4] if run.quick else fields[:3, :3]
    patches = {f"{cut.shape[0]}×{cut.shape[1]}": exact(cut, times) for cut in (small, large)}
    first, second = patches.values()
    run.say(f"exact patches differ by {np.abs(first[:, 0] - second[:, 0]).max():.1e} at the corner")

    copy = evolve(run, small, times, sizes[-1])
    off = np.abs(copy.bloch - first)
    run.say(f"small patch: worst error of ⟨σ⟩ {off.max():.1e}, rms {np.sqrt(np.mean(off**2)):.1e}")
    found = {size: evolve(run, fields, times, size) for size in sizes}
    *_, rough, best = found.values()
    bars = np.abs(rough.bloch - best.bloch)
    corner = {size: np.abs(result.bloch[:, 0] - second[:, 0]).max() for size, result in found.items()}
    run.say(f"whole lattice: bars up to {bars.max():.1e}, median {np.median(bars[-1]):.1e} at the end")
    run.say("error at the corner by m: " + "; ".join(f"{size}: {error:.1e}" for size, error in corner.items()))
    z = best.bloch[-1, :, 2]
    numbers = {
        "sizes": sizes,
        "fields": fields,
        "felt": felt_fields(fields, z),
        "sigma_z": z,
        "bars": bars[-1, :, 2],
        "largest_bar": bars.max(),
        "times": times,
        "corner_sigma_x": {size: result.bloch[:, 0, 0] for size, result in found.items()},
        "corner_sigma_x_exact": {name: values[:, 0, 0] for name, values in patches.items()},
        "corner_error": corner,
        "small_patch_error": off.max(),
        "projection_error": {size: np.nanmax(r.diagnostics["projection_error"]) for size, r in found.items()},
    }
    run.save(draw(fields, times, found, bars, patches), numbers)


if __name__ == "__main__":
    main()
