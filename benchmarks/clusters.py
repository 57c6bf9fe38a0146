"""Accuracy and time of clusters: errors against exact integration, or the change from m to m + 1 where there is none.

Writes clusters.md, in about four minutes on two idle cores. Times are of a second run of the same shape, compilation
apart.
"""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from common import in_random_fields
from machine import machine_line, options, write

import husimix as hx


@dataclass(frozen=True)
class Case:
    """One system.

    Attributes:
        name: of the row.
        build: makes model and state.
        end: time of the end, in 1/γ.
        sizes: m; where nothing exact is known the last one is compared with only.
        exact: whether exact integration is the reference.
        damping: edge damping, in γ.
    """

    name: str
    build: Callable[[], tuple[hx.Lindbladian, object]]
    end: float
    sizes: tuple[int, ...]
    exact: bool = False
    damping: float = 0.0


def ising(lattice: hx.Lattice, V: float, g: float) -> Callable:
    return lambda: (hx.models.dissipative_ising(lattice, V=V, g=g), hx.product_state(lattice.n_sites, "down"))


def in_fields(lattice: hx.Lattice, V: float, g: float) -> Callable:
    """The Ising model in random fields."""

    def build() -> tuple[hx.Lindbladian, object]:
        model, state = ising(lattice, V, g)()
        return in_random_fields(model, seed=1), state

    return build


def driven_heisenberg(n: int) -> tuple[hx.Lindbladian, object]:
    """A Heisenberg chain pumped at one end and emptied at the other, J = 1, γ = 0.1, from a Néel state."""
    lattice = hx.Lattice.chain(n)
    spins = np.array([[0.0, 0.0, (-1.0) ** i] for i in range(n)])
    return hx.models.boundary_driven_heisenberg(lattice, J=1.0, gamma=0.1), hx.product_state(n, spins)


SQUARE, TORUS, PATCH = (hx.Lattice.square(n, n, periodic=closed) for n, closed in ((8, True), (3, True), (3, False)))
CHAIN, TORUS_STRONG = hx.Lattice.chain, ising(TORUS, 5, 5)
CASES = (
    Case("8×8, i.e. infinite, V=2 g=1", ising(SQUARE, 2, 1), 5, (2, 3, 4, 5)),
    Case("8×8, V=2 g=2.5", ising(SQUARE, 2, 2.5), 5, (3, 4, 5, 6)),
    Case("8×8, V=g=5", ising(SQUARE, 5, 5), 5, (3, 4, 5, 6)),
    Case("open chain of 8, V=g=5", ising(CHAIN(8), 5, 5), 5, (3, 4, 5), exact=True),
    Case("open chain of 32, V=g=5", ising(CHAIN(32), 5, 5), 5, (4, 5, 6)),
    Case("Heisenberg chain of 20 driven at its ends", lambda: driven_heisenberg(20), 0.5, (4, 5, 6)),
    Case("3×3 open in random fields, V=g=1", in_fields(PATCH, 1, 1), 5, (3, 4, 5), exact=True),
    Case("3×3 open, V=2 g=2.5", ising(PATCH, 2, 2.5), 5, (3, 4, 5), exact=True),
    Case("3×3 open, V=g=5", ising(PATCH, 5, 5), 5, (3, 4, 5), exact=True),
    Case("3×3 torus, V=2 g=1", ising(TORUS, 2, 1), 5, (3, 4), exact=True),
    Case("3×3 torus, V=2 g=2.5", ising(TORUS, 2, 2.5), 5, (3, 4), exact=True),
    Case("3×3 torus, V=g=5", TORUS_STRONG, 5, (4, 5), exact=True),
    Case("3×3 torus, V=g=5, edge damping 2γ", TORUS_STRONG, 5, (4, 5), exact=True, damping=2.0),
)
QUICK = (Case("open chain of 3, V=g=5", ising(CHAIN(3), 5, 5), 1, (2, 3), exact=True),)


@functools.cache
def exact(build: Callable, end: float) -> np.ndarray:
    """(T, N, 3) Bloch vectors by exact integration, once for all rows of a system."""
    model, state = build()
    return hx.exact.mesolve(model, state, save_times(end)).bloch


def save_times(end: float) -> np.ndarray:
    return np.linspace(0, end, 26)


def run(case: Case, size: int, model: hx.Lindbladian, state: object, times: np.ndarray) -> tuple[hx.Result, float]:
    """A run, and the seconds that a second one takes."""
    arguments = {"ansatz": hx.Clusters(size=size, edge_damping=case.damping), "progress": False}
    hx.mesolve(model, state, times, **arguments)
    began = time.perf_counter()
    result = hx.mesolve(model, state, times, **arguments)
    return result, time.perf_counter() - began


def rows(case: Case) -> list[str]:
    """The lines of one system."""
    model, state = case.build()
    times, sizes = save_times(case.end), case.sizes
    runs = {m: run(case, m, model, state, times) for m in sizes}
    reference = exact(case.build, case.end) if case.exact else None
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
        ending = (
            "" if result.completed else f" ({result.status.name.lower()} at t = {result.final_state.history.time:.2g})"
        )
        kind = "exact" if case.exact else f"m = {m + 1}" if len(error) else "—"
        count = hx.estimate(model, state, ansatz=hx.Clusters(size=m)).n_parameters
        lines.append(f"| {case.name}{ending} | {m} | {count} | {worst} | {half} | {kind} | {seconds:.2f} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Print the table and write it."""
    asked = options(__doc__)
    head = [
        f"Worst error of any ⟨σ⟩ of any site at any of 26 times, and from 0.6 of the time on. {machine_line()}",
        "",
        "| system | m | numbers | worst | late | against | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    lines = [line for case in (QUICK if asked.quick else CASES) for line in rows(case)]
    write(asked, "clusters.md", "\n".join([*head, *lines]))


if __name__ == "__main__":
    main()
