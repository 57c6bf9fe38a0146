"""Accuracy and time of mixtures next to exact integration: manifolds, metrics and uses of symmetry, K by K.

Each row is the median over three seeds on one problem; QuTiP solves the same problem in the same process. Writes
accuracy.md, in about three minutes on two idle cores. Of clusters: clusters.py.
"""

import time
from typing import NamedTuple

import numpy as np
from common import bond_mean
from machine import machine_line, options, write

import husimix as hx
from husimix.physics.symmetry.point_group import point_group

TIMES = np.linspace(0, 5, 51)
SEEDS = (0, 1, 2)
RING, TORUS, CHAIN = hx.Lattice.chain(6, periodic=True), hx.Lattice.square(3, 3, periodic=True), hx.Lattice.chain(4)


class Choice(NamedTuple):
    """A mixture, and the symmetry of its run: as `mesolve` takes it, or "space group"."""

    ansatz: hx.Mixture
    symmetry: str | None = "auto"


def mixtures(*counts):
    return tuple(Choice(hx.Mixture(components=count)) for count in counts)


SPACE_GROUP = Choice(hx.Mixture(components=4), "space group")
"""Components averaged over the point group, too, which the default leaves out; with a K that takes comparable time."""

CASES = (
    (
        "Ising, V=2, g=1, 3×3 torus",
        hx.models.dissipative_ising(TORUS, V=2.0, g=1.0),
        (*mixtures(4, 8), SPACE_GROUP),
    ),
    (
        "XYZ, J=(0.9, 1.2, 1), ring of 6",
        hx.models.dissipative_xyz(RING, Jx=0.9, Jy=1.2, Jz=1.0),
        (*mixtures(8), SPACE_GROUP),
    ),
    (
        "Ising, V=5, g=5, ring of 6",
        hx.models.dissipative_ising(RING, V=5.0, g=5.0),
        (
            *mixtures(8, 16),
            SPACE_GROUP,
            Choice(hx.Mixture(components=8, manifold="coherent")),
            Choice(hx.Mixture(components=8, metric="hilbert-schmidt")),
            Choice(hx.Mixture(components=8), None),
        ),
    ),
    (
        "Ising, V=5, g=5, open chain of 4",
        hx.models.dissipative_ising(CHAIN, V=5.0, g=5.0),
        mixtures(8, 16),
    ),
)
"""Name, model and choices. XYZ starts with all spins along +x, as its down state does not move by itself."""


def with_transformations(symmetry, lattice):
    """A symmetry as `mesolve` takes it: the space group as a list of all its elements, to be averaged over."""
    if symmetry != "space group":
        return symmetry
    translations = hx.SymmetryGroup.translations(lattice).permutations[1:]
    return [hx.Transformation(p) for p in (*translations, *point_group(lattice)[1:])]


def measure(model, state, observables, exact, choice):
    """Worst error of ⟨σ⟩ and ⟨σzσz⟩, rms of their site and bond averages, steps, seconds after compilation."""
    rows = []
    arguments = {"ansatz": choice.ansatz, "symmetry": with_transformations(choice.symmetry, model.lattice)}
    for seed in SEEDS:
        run = hx.mesolve(model, state, TIMES, observables=observables, progress=False, seed=seed, **arguments)
        sites, bond = run.bloch - exact.bloch, run.expect["zz"] - exact.expect["zz"]
        averages = np.concatenate([sites.mean(axis=1), bond[:, None]], axis=1)
        worst = max(np.abs(sites).max(), np.abs(bond).max())
        rows.append((worst, np.sqrt(np.mean(averages**2)), run.diagnostics["steps"][-1], run.wall_time))
    # The first run compiled.
    return *np.median(rows, axis=0)[:3], np.median(rows[1:], axis=0)[3]


def main():
    asked = options(__doc__)
    cases = [(*CASES[-1][:2], mixtures(2))] if asked.quick else CASES
    lines = [
        "# Accuracy next to exact integration",
        "",
        "γ = 1, up to T = 5/γ, 51 save times; all spins down, for XYZ along +x. Errors: worst over all sites,",
        "components and times of ⟨σ⟩ and the bond-averaged ⟨σzσz⟩; rms over site and bond averages. Medians of three",
        "seeds; seconds after compilation; the ratio is QuTiP's time, at tight tolerances, over husimix's in the same",
        "process. Space group: components averaged over all its elements; by default, on lattices as small as these,",
        "over translations alone, on the open chain over its reflection; the metric auto is Husimi's.",
        "",
        machine_line(),
        "",
        "| problem | K | manifold | metric | symmetry | worst | rms | seconds | steps | QuTiP s | ratio |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    print(*lines, sep="\n")
    for name, model, choices in cases:
        lattice = model.lattice
        state = hx.product_state(lattice.n_sites, "+x" if name.startswith("XYZ") else "down")
        observables = {"zz": bond_mean(lattice, "zz")}
        began = time.perf_counter()
        exact = hx.exact.mesolve(model, state, TIMES, observables=observables)
        qutip_seconds = time.perf_counter() - began
        for choice in choices:
            worst, rms, steps, seconds = measure(model, state, observables, exact, choice)
            ansatz = choice.ansatz
            lines.append(
                f"| {name} | {ansatz.components} | {ansatz.manifold} | {ansatz.metric} | {choice.symmetry or 'none'} "
                f"| {worst:.1e} | "
                f"{rms:.1e} | {seconds:.2f} | {steps:.0f} | {qutip_seconds:.1f} | {qutip_seconds / seconds:.1f} |"
            )
            print(lines[-1], flush=True)
    write(asked, "accuracy.md", "\n".join(lines))


if __name__ == "__main__":
    main()
