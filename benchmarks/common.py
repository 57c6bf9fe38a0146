"""What several benchmarks compute: averages over a lattice, random fields, ansätze told as plain data."""

import numpy as np

import husimix as hx
from husimix.ansatz import AbstractAnsatz


def ansatz_of(kind: str, knob: int) -> AbstractAnsatz:
    """A mixture of K components or clusters of m sites, by kind and knob."""
    return hx.Mixture(components=knob) if kind == "mixture" else hx.Clusters(size=knob)


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
