"""What several benchmarks compute: problems and their averages, random fields, ansätze told as plain data."""

from dataclasses import dataclass

import numpy as np

import husimix as hx
from husimix.ansatz import AbstractAnsatz
from husimix.physics.lindbladian import sparse_operator
from husimix.state import AbstractState

TIMES = np.linspace(0, 5, 51)
"""Save times of most problems, in 1/γ."""


def ansatz_of(kind: str, knob: int) -> AbstractAnsatz:
    """A mixture of K components or clusters of m sites, by kind and knob."""
    return hx.Mixture(components=knob) if kind == "mixture" else hx.Clusters(size=knob)


def kind_of(ansatz: AbstractAnsatz) -> str:
    """The name of an ansatz in tables and pictures."""
    return "mixture" if isinstance(ansatz, hx.Mixture) else "clusters"


def knob_of(ansatz: AbstractAnsatz) -> str:
    """What makes an ansatz more accurate, as rows and pictures name it."""
    return f"K = {ansatz.components}" if isinstance(ansatz, hx.Mixture) else f"m = {ansatz.size}"


def bond_mean(lattice: hx.Lattice, letters: str) -> hx.Operator:
    """A product of two Pauli matrices, averaged over all bonds."""
    bonds = lattice.bonds()
    return hx.operator_sum([hx.pauli(letters, i, j) for i, j in bonds]) / len(bonds)


def means(lattice: hx.Lattice) -> dict[str, hx.Operator]:
    """σx, σy, σz averaged over the sites and σzσz over the bonds, by the names x, y, z, zz."""
    n = lattice.n_sites
    of_sites = {a: hx.operator_sum([hx.pauli(a, i) for i in range(n)]) / n for a in "xyz"}
    return of_sites | {"zz": bond_mean(lattice, "zz")}


def in_random_fields(model: hx.Lindbladian, seed: int) -> hx.Lindbladian:
    """A model in a longitudinal field that is random on each site, even in [-1, 1]/2."""
    fields = np.random.default_rng(seed).uniform(-1, 1, model.n_sites)
    disorder = hx.operator_sum([0.5 * f * hx.sigmaz(i) for i, f in enumerate(fields)])
    return hx.Lindbladian(model.hamiltonian + disorder, model.dissipators, lattice=model.lattice)


@dataclass(frozen=True)
class Problem:
    """A model, where it starts, and what is compared.

    Attributes:
        name: as in the table.
        model, state: the Lindbladian and the initial product state.
        times: (T,) save times.
        observables: averages over sites and bonds, by name.
    """

    name: str
    model: hx.Lindbladian
    state: AbstractState
    times: np.ndarray
    observables: dict[str, hx.Operator]

    def matrices(self) -> list:
        """The observables as sparse matrices on the whole Hilbert space."""
        return [sparse_operator(o, self.model.n_sites) for o in self.observables.values()]

    @property
    def bloch(self) -> np.ndarray:
        """(N, 3) Bloch vectors of the initial state."""
        return np.asarray(self.state.bloch())


def ising(name: str, lattice: hx.Lattice, V: float, g: float) -> Problem:
    """The dissipative Ising model, all spins down, to T = 5/γ."""
    model = hx.models.dissipative_ising(lattice, V=V, g=g)
    return Problem(name, model, hx.product_state(lattice.n_sites, "down"), TIMES, means(lattice))


def quench(name: str, length: int, end: float) -> Problem:
    """A closed Ising chain, H = Σ σzσz + Σ σx with all spins down at first: pure states, no dissipation."""
    lattice = hx.Lattice.chain(length)
    hamiltonian = hx.models.dissipative_ising(lattice, V=4.0, g=2.0).hamiltonian
    model = hx.Lindbladian(hamiltonian, [], lattice=lattice)
    return Problem(name, model, hx.product_state(length, "down"), np.linspace(0, end, 31), means(lattice))


def driven_heisenberg(name: str, length: int, gamma: float, end: float) -> Problem:
    """The Heisenberg chain driven at its ends, from the Néel state; the site average of ⟨σz⟩ is taken with its sign."""
    lattice = hx.Lattice.chain(length)
    bonds, signs = lattice.bonds(), (-1.0) ** np.arange(length)
    measured = {"staggered z": hx.operator_sum([s * hx.sigmaz(i) for i, s in enumerate(signs)]) / length}
    measured |= {letters: bond_mean(lattice, letters) for letters in ("xx", "zz")}
    current = [hx.pauli("xy", i, j) - hx.pauli("yx", i, j) for i, j in bonds]
    measured["current"] = hx.operator_sum(current) / len(bonds)
    model = hx.models.boundary_driven_heisenberg(lattice, J=1.0, delta=1.0, gamma=gamma)
    spins = np.stack([np.zeros(length), np.zeros(length), signs], axis=1)
    return Problem(name, model, hx.product_state(length, spins), np.linspace(0, end, 11), measured)


def run_husimix(problem: Problem, ansatz: AbstractAnsatz, times: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
    """(O, T) observables; nan from where a run stopped early."""
    times = problem.times if times is None else times
    run = hx.mesolve(
        problem.model, problem.state, times, ansatz=ansatz, observables=problem.observables, seed=seed, progress=False
    )
    values = np.full((len(problem.observables), len(times)), np.nan)
    for row, name in zip(values, problem.observables, strict=True):
        row[: len(run.expect[name])] = run.expect[name]
    return values
