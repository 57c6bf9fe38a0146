"""Which use of the lattice's symmetries gives least error in a given time.

Three models with exact answers. Symmetries: translations alone; the default, where the point group leaves every
component in place; and the average over the whole space group. Writes benchmarks/results/defaults.md, in about two
minutes on two idle cores.
"""

import time
from pathlib import Path

import numpy as np
from machine import machine_line

import husimix as hx
from husimix.physics.point_group import point_group

TIMES = np.linspace(0, 5, 26)
SEEDS = (0, 1, 2)
RING, TORUS = hx.Lattice.chain(8, periodic=True), hx.Lattice.square(3, 3, periodic=True)
MODELS = {
    "Ising, V = 2, g = 1, 3×3": (TORUS, hx.models.dissipative_ising(TORUS, V=2.0, g=1.0)),
    "Ising, V = 5, g = 5, ring of 8": (RING, hx.models.dissipative_ising(RING, V=5.0, g=5.0)),
    "XYZ, J = (0.9, 1.2, 1), ring of 8": (RING, hx.models.dissipative_xyz(RING, Jx=0.9, Jy=1.2, Jz=1.0)),
}
"""Lattice and model by name; all spins along +x for XYZ, whose down state does not move by itself, else down."""


def symmetries(lattice: hx.Lattice) -> dict[str, tuple[object, tuple[int, ...]]]:
    """What to pass as `symmetry`, and numbers of components that take comparable times."""
    translations = hx.SymmetryGroup.translations(lattice).permutations[1:]
    space = [hx.Transformation(p) for p in (*translations, *point_group(lattice)[1:])]
    return {
        "translations": ("translations", (8,)),
        "default": ("auto", (4, 8, 16)),
        "space group averaged": (space, (4,)),
    }


def main() -> None:
    lines = [
        "# Defaults",
        "",
        "γ = 1, to T = 5/γ, 26 times. Error: worst over times, sites and components of ⟨σ⟩ and the bond mean of",
        f"⟨σzσz⟩, medians of {len(SEEDS)} seeds; seconds after compilation.",
        "",
        machine_line(),
        "",
        "| model | symmetry | K | error | seconds |",
        "|---|---|---|---|---|",
    ]
    print(*lines, sep="\n")
    for name, (lattice, model) in MODELS.items():
        state = hx.product_state(lattice.n_sites, "+x" if name.startswith("XYZ") else "down")
        bonds = lattice.bonds()
        observables = {"zz": hx.operator_sum([hx.pauli("zz", i, j) for i, j in bonds]) / len(bonds)}
        exact = hx.exact.mesolve(model, state, TIMES, observables=observables)
        for kind, (symmetry, counts) in symmetries(lattice).items():
            for count in counts:
                rows = []
                for seed in (SEEDS[0], *SEEDS):
                    began = time.perf_counter()
                    result = hx.mesolve(
                        model, state, TIMES, components=count, symmetry=symmetry, observables=observables, seed=seed,
                        progress=False,
                    )  # fmt: skip
                    seconds = time.perf_counter() - began
                    error = max(
                        np.abs(result.bloch - exact.bloch).max(),
                        np.abs(result.expect["zz"] - exact.expect["zz"]).max(),
                    )
                    rows.append((error, seconds))
                # The first run compiled.
                error, seconds = np.median(rows[1:], axis=0)
                lines.append(f"| {name} | {kind} | {count} | {error:.1e} | {seconds:.2f} |")
                print(lines[-1], flush=True)
    target = Path(__file__).parent / "results" / "defaults.md"
    target.write_text("\n".join(lines) + "\n")
    print(f"Wrote {target}")


if __name__ == "__main__":
    main()
