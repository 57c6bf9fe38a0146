"""Accuracy and time of clusters: errors against exact integration, or the change from m to m + 1 where there is none.

Writes benchmarks/results/clusters.md. Times are of a second run of the same shape, compilation apart. Takes some
fifteen minutes on two cores; `--quick` leaves out what takes more than ten seconds a run.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from machine import machine_line

import husimix as hx

RESULTS = Path(__file__).parent / "results" / "clusters.md"


@dataclass(frozen=True)
class Case:
    """One system.

    Attributes:
        name: of the row.
        build: makes model and state.
        end: time of the end, in 1/γ.
        sizes: m; where nothing exact is known the last one is compared with only.
        exact: whether exact integration is the reference.
        slow: sizes that `--quick` leaves out.
        damping: edge damping, in γ.
        expected: errors of the prototype by m.
    """

    name: str
    build: Callable[[], tuple[hx.Lindbladian, object]]
    end: float
    sizes: tuple[int, ...]
    exact: bool = False
    slow: tuple[int, ...] = ()
    damping: float = 0.0
    expected: dict[int, float] = field(default_factory=dict)


def ising(lattice: hx.Lattice, V: float, g: float) -> Callable:
    return lambda: (hx.models.dissipative_ising(lattice, V=V, g=g), hx.product_state(lattice.n_sites, "down"))


def in_random_fields(lattice: hx.Lattice, V: float, g: float) -> Callable:
    """The Ising model with a random field along z on each site, uniform in [-1, 1] γ/2."""

    def build() -> tuple[hx.Lindbladian, object]:
        model, state = ising(lattice, V, g)()
        fields = np.random.default_rng(1).uniform(-1, 1, lattice.n_sites)
        hamiltonian = model.hamiltonian + hx.operator_sum([0.5 * f * hx.sigmaz(i) for i, f in enumerate(fields)])
        return hx.Lindbladian(hamiltonian, model.dissipators, lattice=lattice), state

    return build


def driven_heisenberg(n: int) -> tuple[hx.Lindbladian, object]:
    """A Heisenberg chain pumped at one end and emptied at the other, J = 1, γ = 0.1, from a Néel state."""
    lattice = hx.Lattice.chain(n)
    spins = np.array([[0.0, 0.0, (-1.0) ** i] for i in range(n)])
    return hx.models.boundary_driven_heisenberg(lattice, J=1.0, gamma=0.1), hx.product_state(n, spins)


SQUARE, TORUS, PATCH = (hx.Lattice.square(n, n, periodic=closed) for n, closed in ((8, True), (3, True), (3, False)))
CASES = (
    Case("8×8, i.e. infinite, V=2 g=1", ising(SQUARE, 2, 1), 5, (2, 3, 4, 5), expected={3: 5e-4, 4: 1e-4}),
    Case("8×8, V=2 g=2.5", ising(SQUARE, 2, 2.5), 5, (3, 4, 5, 6), slow=(6,), expected={4: 5e-3, 5: 2e-3}),
    Case("8×8, V=g=5", ising(SQUARE, 5, 5), 5, (3, 4, 5, 6), slow=(6,), expected={4: 1.7e-2, 5: 2.5e-2}),
    Case(
        "open chain of 8, V=g=5",
        ising(hx.Lattice.chain(8), 5, 5),
        5,
        (3, 4, 5),
        exact=True,
        expected={3: 5.1e-2, 4: 1.0e-2, 5: 2.4e-3},
    ),
    Case("open chain of 32, V=g=5", ising(hx.Lattice.chain(32), 5, 5), 5, (4, 5, 6), expected={4: 9e-3, 5: 2.7e-3}),
    Case(
        "Heisenberg chain of 20 driven at its ends", lambda: driven_heisenberg(20), 0.5, (4, 5, 6), expected={5: 5e-2}
    ),
    Case(
        "3×3 open in random fields, V=g=1",
        in_random_fields(PATCH, 1, 1),
        5,
        (3, 4, 5),
        exact=True,
        expected={3: 2.6e-3, 4: 3.4e-4, 5: 3e-5},
    ),
    Case(
        "3×3 open, V=2 g=2.5",
        ising(PATCH, 2, 2.5),
        5,
        (3, 4, 5),
        exact=True,
        expected={3: 2.3e-2, 4: 7.5e-3, 5: 1.8e-3},
    ),
    Case("3×3 open, V=g=5", ising(PATCH, 5, 5), 5, (3, 4, 5), exact=True, expected={3: 1.7e-1, 4: 7e-2, 5: 3.8e-2}),
    Case("3×3 torus, V=2 g=1", ising(TORUS, 2, 1), 5, (3, 4), exact=True, expected={3: 1.8e-3, 4: 6e-4}),
    Case("3×3 torus, V=2 g=2.5", ising(TORUS, 2, 2.5), 5, (3, 4), exact=True, expected={3: 3.2e-2, 4: 1.4e-2}),
    Case("3×3 torus, V=g=5", ising(TORUS, 5, 5), 5, (4, 5), exact=True, expected={4: 7e-2}),
    Case(
        "3×3 torus, V=g=5, edge damping 2γ",
        ising(TORUS, 5, 5),
        5,
        (4, 5),
        exact=True,
        damping=2.0,
        expected={5: 3.4e-2},
    ),
)


def run(case: Case, size: int, model: hx.Lindbladian, state: object, times: np.ndarray) -> tuple[hx.Result, float]:
    """A run, and the seconds that a second one takes."""
    arguments = {"ansatz": hx.Clusters(size=size, edge_damping=case.damping), "progress": False}
    hx.mesolve(model, state, times, **arguments)
    began = time.perf_counter()
    result = hx.mesolve(model, state, times, **arguments)
    return result, time.perf_counter() - began


def rows(case: Case, quick: bool) -> list[str]:
    """The lines of one system."""
    model, state = case.build()
    times = np.linspace(0, case.end, 26)
    sizes = [m for m in case.sizes if not (quick and m in case.slow)]
    runs = {m: run(case, m, model, state, times) for m in sizes}
    reference = hx.exact.mesolve(model, state, times).bloch if case.exact else None
    lines = []
    for number, m in enumerate(sizes):
        result, seconds = runs[m]
        if reference is None and number == len(sizes) - 1:
            error = np.full(0, np.nan)
        else:
            other = runs[sizes[number + 1]][0].bloch if reference is None else reference
            count = min(len(result.times), len(other))
            error = np.abs(result.bloch[:count] - other[:count]).max(axis=(1, 2))
        worst = f"{error.max():.1e}" if len(error) else "—"
        half = f"{error[times[: len(error)] >= 0.6 * case.end].max(initial=0):.1e}" if len(error) else "—"
        wanted = f"{case.expected[m]:.1e}" if m in case.expected else ""
        ending = (
            "" if result.completed else f" ({result.status.name.lower()} at t = {result.final_state.history.time:.2g})"
        )
        kind = "exact" if case.exact else f"m = {m + 1}"
        count = hx.estimate(model, state, ansatz=hx.Clusters(size=m)).n_parameters
        lines.append(f"| {case.name}{ending} | {m} | {count} | {worst} | {half} | {kind} | {wanted} | {seconds:.2f} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Print the table and write it."""
    quick = "--quick" in sys.argv
    head = [
        f"Worst error of any ⟨σ⟩ of any site at any of 26 times, and from 0.6 of the time on. {machine_line()}",
        "",
        "| system | m | numbers | worst | late | against | prototype | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines = [line for case in CASES for line in rows(case, quick)]
    if not quick:
        RESULTS.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
