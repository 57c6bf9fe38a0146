"""What matrices of correlations between all sites say about a lattice: profile over distance, structure factor, length.

A matrix comes from `state.correlation("z", "z", connected=True)`. Clusters hold correlations of far sites only if they
are asked to, by `Clusters(pairs=...)`.
"""

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from husimix._errors import argument_error
from husimix.physics.lattice import Lattice

__all__ = ["Profile", "StructureFactor", "correlation_length", "over_distance", "structure_factor"]

Floats = NDArray[np.float64]
# Distances are told apart to so many decimal places.
_DECIMALS = 9
# Entries of a table of displacements that are computed at a time.
_ENTRIES = 4_000_000


class Profile(NamedTuple):
    """Correlations against distance.

    Attributes:
        distances: (S,) float, increasing, 0 first; in units of the distance of nearest neighbours.
        means: (S,) float, the mean of all pairs of sites at each distance.
        counts: (S,) int, how many ordered pairs there are.
    """

    distances: Floats
    means: Floats
    counts: NDArray[np.int64]


class StructureFactor(NamedTuple):
    """S(q) of a lattice.

    Attributes:
        momenta: (Q, dim) float, in inverse units of `Lattice.positions`.
        values: (Q,) float.
    """

    momenta: Floats
    values: Floats


def over_distance(lattice: Lattice, matrix: ArrayLike) -> Profile:
    """The mean of a matrix over all pairs of sites at equal distance, along the shortest way around the lattice.

    Args:
        lattice: with a position of each site.
        matrix: (N, N) float.

    Raises:
        ValueError: for a matrix of other sites.
    """
    values = _checked(lattice, matrix)
    positions = np.asarray(lattice.positions, dtype=float)
    images, n = _periods(lattice), lattice.n_sites
    step = max(1, _ENTRIES // (n * len(images)))
    sums: dict[float, float] = {}
    counts: dict[float, int] = {}
    for start in range(0, n, step):
        apart = positions[None, start : start + step] - positions[:, None]
        lengths = np.linalg.norm(apart[:, :, None] + images, axis=-1).min(axis=-1)
        found, which, number = np.unique(np.round(lengths, _DECIMALS), return_inverse=True, return_counts=True)
        totals = np.bincount(which.reshape(-1), values[:, start : start + step].reshape(-1))
        for distance, total, count in zip(found.tolist(), totals.tolist(), number.tolist(), strict=True):
            sums[distance] = sums.get(distance, 0.0) + total
            counts[distance] = counts.get(distance, 0) + count
    distances = np.array(sorted(sums))
    numbers = np.array([counts[d] for d in distances.tolist()])
    return Profile(distances, np.array([sums[d] for d in distances.tolist()]) / numbers, numbers)


def structure_factor(lattice: Lattice, matrix: ArrayLike, momenta: ArrayLike | None = None) -> StructureFactor:
    """S(q) = (1/N) Σ_ij cos(q·(r_i - r_j)) C_ij.

    Args:
        lattice: with a position of each site.
        matrix: C, (N, N) float, symmetric.
        momenta: (Q, dim) float; by default those that fit the lattice, 2π m_i/L_i along each reciprocal vector, q = 0
            first.

    Returns:
        The momenta and S. Cost: Q N² multiplications.

    Raises:
        ValueError: for a matrix of other sites, momenta of other dimension, or none for a graph.
    """
    values, positions = _checked(lattice, matrix), np.asarray(lattice.positions, dtype=float)
    q = _fitting_momenta(lattice) if momenta is None else np.atleast_2d(np.asarray(momenta, dtype=float))
    if q.ndim != 2 or q.shape[1] != positions.shape[1]:
        raise argument_error("momenta", f"have shape (Q, {positions.shape[1]})", q.shape)
    waves = np.exp(1j * q @ positions.T)
    found = np.einsum("qi,ij,qj->q", waves, values, waves.conj(), optimize=True)
    return StructureFactor(q, np.real(found) / lattice.n_sites)


def correlation_length(lattice: Lattice, matrix: ArrayLike, direction: int = 0) -> float:
    """The correlation length ξ of connected correlations, by their second moment.

    ξ² = (S(0)/S(q) - 1)/(2 sin(|q| a/2)/a)² with the smallest momentum q along one periodic direction, a the length of
    its primitive vector. On large lattices this is the decay length of correlations that fall exponentially.

    Args:
        lattice: periodic along the direction.
        matrix: (N, N) float, connected correlations.
        direction: which primitive vector.

    Returns:
        ξ in units of `Lattice.positions`; nan where S(0) is not greater than S(q).

    Raises:
        ValueError: for an open direction, a graph, or a matrix of other sites.
    """
    if len(lattice.primitive) == 0 or direction not in range(len(lattice.primitive)):
        raise argument_error("direction", "be one of the lattice's primitive vectors", direction)
    if not lattice.periodic[direction] or lattice.shape[direction] < 2:
        raise argument_error("lattice", "be periodic along the direction", repr(lattice))
    inverse = 2 * np.pi * np.linalg.inv(np.asarray(lattice.primitive, dtype=float)).T
    q = inverse[direction] / lattice.shape[direction]
    at_zero, at_q = structure_factor(lattice, matrix, np.stack([0 * q, q])).values
    a = float(np.linalg.norm(lattice.primitive[direction]))
    # |q| along the direction, not that of the reciprocal vector, which leans on skew lattices.
    along = abs(float(q @ lattice.primitive[direction])) / a
    ratio = at_zero / at_q - 1 if at_q > 0 else np.nan
    return float(np.sqrt(ratio) / (2 * np.sin(along * a / 2) / a)) if ratio > 0 else float("nan")


def _checked(lattice: Lattice, matrix: ArrayLike) -> Floats:
    values = np.asarray(matrix, dtype=float)
    if values.shape != (lattice.n_sites,) * 2:
        raise argument_error("matrix", f"have shape ({lattice.n_sites}, {lattice.n_sites})", values.shape)
    return values


def _periods(lattice: Lattice) -> Floats:
    """(M, dim) the shifts by whole periods that may bring two sites nearer to each other."""
    if len(lattice.primitive) == 0:
        return np.zeros((1, lattice.positions.shape[1]))
    ways = [(-1, 0, 1) if closed else (0,) for closed in lattice.periodic]
    turns = np.array(list(itertools.product(*ways)), dtype=float)
    return (turns * np.array(lattice.shape)) @ np.asarray(lattice.primitive, dtype=float)


def _fitting_momenta(lattice: Lattice) -> Floats:
    """(cells, dim) the momenta that fit the lattice, 0 first."""
    if len(lattice.primitive) == 0:
        raise argument_error("momenta", "be given for a graph", "None")
    inverse = 2 * np.pi * np.linalg.inv(np.asarray(lattice.primitive, dtype=float)).T
    return (np.indices(lattice.shape).reshape(len(lattice.shape), -1).T / np.array(lattice.shape)) @ inverse
