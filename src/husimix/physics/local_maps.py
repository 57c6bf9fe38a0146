"""The Lindbladian as a sum of maps on few sites, each of which conserves the trace by itself.

𝓛 = Σ_t G_t, G_t a real D^q × D^q matrix on the tensor R of q sites whose first row vanishes (docs/theory.md, eq. 7):
one map for each product of the Hamiltonian and for each pair of products of a jump operator, on the union of their
sites. Maps on the same sites are summed.
"""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from husimix.physics.basis import SiteBasis
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.terms import AlikeChannels, alike_channels, hamiltonian_products

__all__ = ["LocalMaps", "local_maps"]

# Below this part of the largest entry of a map, what is left is rounding.
_ROUNDING = 1e-15

# A product of the Hamiltonian: its letters, None and its coefficient; a pair of products of a jump operator: the
# letters of both, and the rate times their coefficients.
_Term = tuple[tuple[int, ...], tuple[int, ...] | None, complex]


class LocalMaps(NamedTuple):
    """All maps on q sites.

    Attributes:
        sites: (T, q) int, increasing along each row, rows all different.
        matrices: (U, D^q, D^q) float, the different maps; the first site of a row is the slowest index.
        kinds: (T,) int, which of them acts on each row of sites.
    """

    sites: np.ndarray
    matrices: np.ndarray
    kinds: np.ndarray

    @property
    def strengths(self) -> np.ndarray:
        """(T,) the spectral norm of each map, in 1/time."""
        norms = np.linalg.norm(self.matrices, ord=2, axis=(1, 2)) if len(self.matrices) else np.zeros(0)
        return norms[self.kinds]


@functools.lru_cache(maxsize=4)  # every rung of a ladder asks for those of one model
def local_maps(model: Lindbladian) -> tuple[LocalMaps, ...]:
    """The maps of a model, one `LocalMaps` for each number of sites that occurs.

    Time is linear in the number of terms; a jump operator of s products gives s (s + 1)/2 pairs.
    """
    terms: dict[_Term, int] = {}
    parts: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
    for sites, letters, coefficients in hamiltonian_products(model):
        rows = zip(map(tuple, letters.tolist()), coefficients.tolist(), strict=True)
        numbers = [terms.setdefault((row, None, f), len(terms)) for row, f in rows]
        parts.setdefault(sites.shape[1], []).append((sites, np.array(numbers)))
    for alike in alike_channels(model):
        for places, term in _pairs(alike):
            number = terms.setdefault(term, len(terms))
            sites = alike.sites[:, list(places)]
            parts.setdefault(len(places), []).append((sites, np.full(len(sites), number)))
    matrices = [_matrix(term, model.basis) for term in terms]
    made = (_maps_of(some, matrices) for _, some in sorted(parts.items()))
    return tuple(maps for maps in made if len(maps.sites))


def _pairs(alike: AlikeChannels) -> Iterator[tuple[tuple[int, ...], _Term]]:
    """Each pair of products of a jump operator: the places of its sites, and what it is."""
    products = [(dict(zip(places, letters, strict=True)), f) for places, letters, f in alike.products]
    for number, (left, f) in enumerate(products):
        for right, h in products[: number + 1]:
            places = tuple(sorted(left.keys() | right.keys()))
            if places:
                # (s, t) and (t, s) are complex conjugates of each other.
                weight = alike.rate * f * h.conjugate() * (1 if left is right else 2)
                yield places, (tuple(left.get(i, 0) for i in places), tuple(right.get(i, 0) for i in places), weight)


def _maps_of(parts: list[tuple[np.ndarray, np.ndarray]], matrices: list[np.ndarray]) -> LocalMaps:
    """The sums of the matrices that act on the same sites, made once for each kind of sum."""
    sites, numbers = (np.concatenate(x) for x in zip(*parts, strict=True))
    order = np.lexsort((numbers, *sites.T[::-1]))
    sites, numbers = sites[order].astype(np.int64), numbers[order]
    is_first = np.append(True, (sites[1:] != sites[:-1]).any(axis=1))
    starts = np.flatnonzero(is_first)
    row = np.cumsum(is_first) - 1
    sums = np.full((len(starts), int(np.bincount(row).max())), -1)
    sums[row, np.arange(len(row)) - starts[row]] = numbers
    different, kinds = np.unique(sums, axis=0, return_inverse=True)
    made = np.array([_rounded([matrices[n] for n in numbers if n >= 0]) for numbers in different.tolist()])
    holds = np.abs(made).max(axis=(1, 2)) > 0
    kept = holds[kinds.reshape(-1)]
    return LocalMaps(sites[starts][kept], made[holds], (np.cumsum(holds) - 1)[kinds.reshape(-1)[kept]])


def _rounded(matrices: list[np.ndarray]) -> np.ndarray:
    """Their sum, with what is rounding set to 0."""
    total = np.sum(matrices, axis=0)
    return np.where(np.abs(total) > _ROUNDING * np.abs(total).max(), total, 0.0)


def _matrix(term: _Term, basis: SiteBasis) -> np.ndarray:
    """The real map of a product of the Hamiltonian, or of a pair of products of a jump operator."""
    first, second, weight = term
    left = [basis.left(a) for a in first]
    if second is None:
        # -i f [P, .] = 2 f Im ⊗ℓ
        return 2 * weight * np.imag(functools.reduce(np.kron, left))
    # c (P ρ Q - ½ {Q P, ρ}) with Q P ρ and ρ Q P as products of left and of right multiplications
    right = [basis.left(a).conj() for a in second]
    ordered = [basis.left(b) @ basis.left(a) for a, b in zip(first, second, strict=True)]
    reverse = [basis.left(a).conj() @ basis.left(b).conj() for a, b in zip(first, second, strict=True)]
    sandwich = functools.reduce(np.kron, [p @ q for p, q in zip(left, right, strict=True)])
    loss = functools.reduce(np.kron, ordered) + functools.reduce(np.kron, reverse)
    return np.real(weight * (sandwich - 0.5 * loss))
