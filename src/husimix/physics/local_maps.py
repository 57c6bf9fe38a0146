"""The Lindbladian as a sum of maps on few sites, each of which conserves the trace by itself.

𝓛 = Σ_t G_t, G_t a real D^q × D^q matrix on the tensor R of q sites whose first row vanishes (docs/theory.md, eq. 7):
one map for each product of the Hamiltonian and for each pair of products of a jump operator, on the union of their
sites. Maps on the same sites are summed.
"""

import functools
from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np

from husimix.physics.basis import SiteBasis
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.operators import Operator

__all__ = ["LocalMaps", "local_maps"]

# Below this part of the largest entry of a map, what is left is rounding.
_ROUNDING = 1e-15


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
    parts: dict[tuple[int, ...], list[Hashable]] = {}
    for product, f in model.hamiltonian.terms.items():
        if product:
            sites, letters = zip(*product, strict=True)
            parts.setdefault(sites, []).append((letters, None, f.real))
    for channel in model.dissipators:
        if channel.rate > 0:
            _add_channel(parts, channel.operator, channel.rate)
    # Maps are made once for each kind of sum: on a regular lattice there are few.
    by_length: dict[int, dict[tuple[Hashable, ...], list[tuple[int, ...]]]] = {}
    for sites, terms in parts.items():
        kind = tuple(sorted(terms, key=repr))
        by_length.setdefault(len(sites), {}).setdefault(kind, []).append(sites)
    made = (_maps_of(kinds, model.basis) for _, kinds in sorted(by_length.items()))
    return tuple(maps for maps in made if len(maps.sites))


def _add_channel(parts: dict[tuple[int, ...], list[Hashable]], jump: Operator, rate: float) -> None:
    terms = [(dict(product), f) for product, f in jump.terms.items()]
    for number, (left, f) in enumerate(terms):
        for right, h in terms[: number + 1]:
            sites = tuple(sorted(left.keys() | right.keys()))
            if sites:
                # (s, t) and (t, s) are complex conjugates of each other.
                weight = rate * f * h.conjugate() * (1 if left is right else 2)
                letters = tuple(left.get(i, 0) for i in sites), tuple(right.get(i, 0) for i in sites)
                parts.setdefault(sites, []).append((*letters, weight))


def _maps_of(kinds: dict[tuple[Hashable, ...], list[tuple[int, ...]]], basis: SiteBasis) -> LocalMaps:
    sites, matrices, numbers = [], [], []
    for terms, places in kinds.items():
        matrix = sum(_matrix(term, basis) for term in terms)
        size = np.abs(matrix).max()
        matrix = np.where(np.abs(matrix) > _ROUNDING * size, matrix, 0.0)
        if size > 0:
            sites += places
            numbers += [len(matrices)] * len(places)
            matrices.append(matrix)
    order = sorted(range(len(sites)), key=sites.__getitem__)
    rows = np.array([sites[n] for n in order], dtype=np.int64)
    return LocalMaps(rows, np.array(matrices), np.array([numbers[n] for n in order], dtype=np.int64))


def _matrix(term: Any, basis: SiteBasis) -> np.ndarray:
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
