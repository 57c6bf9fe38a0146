"""Accuracy and time next to exact integration: the table of the README.

Each row is the median over three seeds on one problem; QuTiP solves the same problem in the same process. Writes
benchmarks/results/accuracy.md.
"""

import platform
import time
from datetime import date
from pathlib import Path

import jax
import numpy as np

import husimix as hx

TIMES = np.linspace(0, 5, 51)
SEEDS = (0, 1, 2)
CASES = [
    ("3×3 torus, V=2, g=1", hx.Lattice.square(3, 3, periodic=True), 2.0, 1.0, [{"components": 4}, {"components": 8}]),
    (
        "ring of 6, V=5, g=5",
        hx.Lattice.chain(6, periodic=True),
        5.0,
        5.0,
        [
            {"components": 8},
            {"components": 16},
            {"components": 32},
            {"components": 16, "manifold": "coherent"},
            {"components": 16, "metric": "hilbert-schmidt"},
            {"components": 16, "symmetry": None},
        ],
    ),
    (
        "open chain of 4, V=5, g=5",
        hx.Lattice.chain(4),
        5.0,
        5.0,
        [{"components": 8}, {"components": 16}, {"components": 32}],
    ),
]


def mean_bond(lattice):
    return hx.operator_sum([hx.pauli("zz", i, j) for i, j in lattice.bonds()]) / len(lattice.bonds())


def measure(model, state, observables, exact, settings):
    """Worst error of ⟨σ⟩ and ⟨σzσz⟩, rms of their site and bond averages, seconds after compilation."""
    rows = []
    hx.mesolve(model, state, TIMES, observables=observables, progress=False, **settings)
    for seed in SEEDS:
        run = hx.mesolve(model, state, TIMES, observables=observables, progress=False, seed=seed, **settings)
        sites, bond = run.bloch - exact.bloch, run.expect["zz"] - exact.expect["zz"]
        averages = np.concatenate([sites.mean(axis=1), bond[:, None]], axis=1)
        worst = max(np.abs(sites).max(), np.abs(bond).max())
        rows.append((worst, np.sqrt(np.mean(averages**2)), run.wall_time, run.diagnostics["steps"][-1]))
    return np.median(rows, axis=0)


def main():
    lines = [
        "# Accuracy next to exact integration",
        "",
        "Dissipative Ising model, γ = 1, all spins down, up to T = 5/γ, 51 save times. Errors: worst over all sites,",
        "components and times of ⟨σ⟩ and the bond-averaged ⟨σzσz⟩; rms over site and bond averages. Medians of three",
        "seeds; seconds after compilation; the ratio is QuTiP's time over husimix's in the same process.",
        "",
        f"{date.today()}, {platform.processor() or platform.machine()}, {platform.system()}, 2 cores, "
        f"Python {platform.python_version()}, JAX {jax.__version__}, husimix {hx.__version__}.",
        "",
        "| problem | K | manifold | metric | symmetry | worst | rms | seconds | steps | QuTiP s | ratio |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, lattice, v, g, settings in CASES:
        model = hx.models.dissipative_ising(lattice, V=v, g=g)
        state, observables = hx.product_state(lattice.n_sites, "down"), {"zz": mean_bond(lattice)}
        began = time.perf_counter()
        exact = hx.exact.mesolve(model, state, TIMES, observables=observables)
        qutip_seconds = time.perf_counter() - began
        for choice in settings:
            worst, rms, seconds, steps = measure(model, state, observables, exact, choice)
            symmetry = choice.get("symmetry", "auto") or "none"
            lines.append(
                f"| {name} | {choice['components']} | {choice.get('manifold', 'bloch')} | "
                f"{choice.get('metric', 'husimi')} | {symmetry} | {worst:.1e} | {rms:.1e} | {seconds:.2f} | "
                f"{steps:.0f} | {qutip_seconds:.1f} | {qutip_seconds / seconds:.1f} |"
            )
            print(lines[-1], flush=True)
    target = Path(__file__).parent / "results" / "accuracy.md"
    target.write_text("\n".join(lines) + "\n")
    print(f"Wrote {target}")


if __name__ == "__main__":
    main()
