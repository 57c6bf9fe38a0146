"""The physics of one pair of components: overlap, transfer and Gram block, written as in docs/theory.md.

A pair is two products of one-site vectors, v and v', and nothing else: no group, no weights, no tables. The kernels
compute the same for many pairs, images and contacts at once; tests hold them to this file.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from husimix.physics.products import SumOfProducts

__all__ = ["gram_block", "overlap", "transfer"]

Vectors = Float[np.ndarray, "site operator"]
Tangents = Float[np.ndarray, "site operator parameter"]


def overlap(v: Vectors, ket: Vectors, g: np.ndarray) -> float:
    """P = Π_i s_i, s_i = v_i · g · v'_i (docs/theory.md, eq. 11)."""
    return float(np.prod(_site_overlaps(v, ket, g)))


def transfer(v: Vectors, ket: Vectors, g: np.ndarray, generator: SumOfProducts) -> float:
    """T = ⟨v, 𝓛v'⟩ = Σ_t w_t Π_{i∈t} (v_i · g · A_t v'_i) Π_{i∉t} s_i (docs/theory.md, eq. 12)."""
    s, total = _site_overlaps(v, ket, g), 0.0
    for weight, sites, matrices in _terms(generator):
        factors = s.copy()
        for site, matrix in zip(sites, matrices, strict=True):
            factors[site] = v[site] * g @ matrix @ ket[site]
        total += weight * np.prod(factors)
    return float(total)


def gram_block(v: Vectors, tangents: Tangents, ket: Vectors, ket_tangents: Tangents, g: np.ndarray) -> np.ndarray:
    """⟨∂_α v, ∂_β v'⟩ for α and β the weight, then every site's parameters (docs/theory.md, eq. 13).

    The derivative in a weight is v itself.

    Args:
        v: (N, D) of the bra.
        tangents: (N, D, p), its derivatives along the parameters of each site.
        ket: (N, D).
        ket_tangents: (N, D, p).
        g: (D,) metric weights.

    Returns:
        (1 + N p, 1 + N p).
    """
    left, right = list(_derivatives(v, tangents)), list(_derivatives(ket, ket_tangents))
    return np.array([[overlap(a, b, g) for b in right] for a in left])


def _site_overlaps(v: Vectors, ket: Vectors, g: np.ndarray) -> np.ndarray:
    return np.einsum("ia,a,ia->i", v, g, ket)


def _terms(generator: SumOfProducts) -> Iterator[tuple[float, list[int], list[np.ndarray]]]:
    """Weight, sites and matrices of every product of one-site maps."""
    for site, matrix in enumerate(generator.one_site):
        yield 1.0, [site], [matrix]
    for coupling in generator.couplings:
        for letters, sites, weight in zip(coupling.letters, coupling.sites, coupling.weights, strict=True):
            yield float(weight), sites.tolist(), [generator.matrices[letter] for letter in letters]


def _derivatives(v: Vectors, tangents: Tangents) -> Iterator[Vectors]:
    """The products that the derivatives of a component are: itself, then with one site replaced by a tangent."""
    yield v
    for site, columns in enumerate(tangents):
        for column in columns.T:
            moved = v.copy()
            moved[site] = column
            yield moved
