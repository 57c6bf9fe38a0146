"""Curves that others are measured by where nothing exact is known, each from two computations, stored as CSV.

    python benchmarks/converged.py [NAME ...]    # computes them anew, in about four minutes on two idle cores

The two share as little as there is: a tensor network beside clusters, or else two sizes of the same.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from common import Problem, driven_heisenberg, ising, knob_of, run_husimix
from comparison_mpo import Tebd
from machine import RESULTS, machine_line

import husimix as hx
from husimix.ansatz import AbstractAnsatz

DRIVE = 0.2


class Reference(NamedTuple):
    """A problem and the two computations that stand for its solution."""

    build: Callable[[], Problem]
    solvers: tuple[AbstractAnsatz | Tebd, AbstractAnsatz | Tebd]

    @property
    def settings(self) -> str:
        """Both, in words."""
        return " and ".join(f"MPO of {s.settings}" if isinstance(s, Tebd) else knob_of(s) for s in self.solvers)


def large_torus() -> Problem:
    return ising("8×8 torus, V = 2, g = 1", hx.Lattice.square(8, periodic=True), 2.0, 1.0)


def long_chain() -> Problem:
    return ising("open chain of 32, V = g = 5", hx.Lattice.chain(32), 5.0, 5.0)


def driven_chain() -> Problem:
    return driven_heisenberg("driven Heisenberg chain of 20", 20, DRIVE, 0.5)


REFERENCES = {
    "large_torus": Reference(large_torus, (hx.Clusters(size=6), hx.Clusters(size=5))),
    "long_chain": Reference(long_chain, (Tebd(48, 0.025), hx.Clusters(size=6))),
    "driven_chain": Reference(driven_chain, (Tebd(96, 0.0125), Tebd(64, 0.0125))),
}


def path_of(name: str) -> Path:
    return RESULTS / f"converged_{name}.csv"


def converged(name: str) -> list[np.ndarray]:
    """The stored (O, T) curves of each of the two."""
    _, *columns = np.loadtxt(path_of(name), delimiter=",").T
    return np.split(np.array(columns), 2)


def spread(name: str) -> float:
    """How far the two differ."""
    one, other = converged(name)
    return float(np.abs(one - other).max())


def store(name: str) -> None:
    """Compute the curves of one problem and write them."""
    reference = REFERENCES[name]
    problem = reference.build()
    curves = [s.solve(problem) if isinstance(s, Tebd) else run_husimix(problem, s) for s in reference.solvers]
    header = f"{machine_line()} {problem.name}: {reference.settings}\nt," + ",".join([*problem.observables] * 2)
    np.savetxt(path_of(name), np.vstack([problem.times, *curves]).T, fmt="%.6f", delimiter=",", header=header)
    print(f"Wrote {path_of(name)}; the two differ by {spread(name):.1e}", flush=True)


if __name__ == "__main__":
    for chosen in sys.argv[1:] or REFERENCES:
        store(chosen)
