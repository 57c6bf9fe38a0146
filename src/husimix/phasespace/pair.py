"""The physics of one pair of components: overlap, transfer and Gram factors in closed form.

Every function here takes one bra component and one ket component, each an (N, D) array of site vectors with
v_0 = 1, and knows nothing of weights, groups or chunks; `husimix.phasespace.kernels` maps them over pairs.
Nothing assumes a value of D. Costs are per pair, with m one-site maps among the couplings.

Products over sites are summed as logarithms and scaled by a common exp(-log_scale), so that thousands of sites
neither overflow nor underflow.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from husimix.physics.products import SumOfProducts

__all__ = ["GramFactors", "gram_factors", "overlap", "site_overlaps", "transfer"]

Component = Float[Array, "site operator"]
Tangents = Float[Array, "site operator parameter"]
Metric = Float[Array, " operator"]
Scalar = Float[Array, ""]

# Site overlaps are divided out again below. In the Hilbert-Schmidt metric two antipodal spins have s = 0; moving
# s by at most this much keeps the quotients finite and the products right to the same accuracy.
_SMALLEST_SITE_OVERLAP = 1e-8


def site_overlaps(bra: Component, ket: Component, g: Metric) -> Float[Array, " site"]:
    """s_i = v_i · g · v'_i (docs/theory.md, eq. 9), kept away from exact zero. Cost: 2 N D."""
    s = jnp.einsum("id,d,id->i", bra, g, ket)
    floor = jnp.where(s < 0, -_SMALLEST_SITE_OVERLAP, _SMALLEST_SITE_OVERLAP)
    return jnp.where(jnp.abs(s) < _SMALLEST_SITE_OVERLAP, floor, s)


def overlap(s: Float[Array, " site"], log_scale: Scalar) -> Scalar:
    """P = Π_i s_i · exp(-log_scale) from the site overlaps. Cost: N logarithms."""
    return jnp.prod(jnp.sign(s)) * jnp.exp(jnp.sum(jnp.log(jnp.abs(s))) - log_scale)


def transfer(bra: Component, ket: Component, g: Metric, generator: SumOfProducts, log_scale: Scalar) -> Scalar:
    """T = ⟨bra, 𝓛 ket⟩ · exp(-log_scale) = P Σ_t w_t Π_{i∈t} α_{t,i} (docs/theory.md, eq. 10).

    Its gradient in the bra vectors is the force of the pair. Cost: 2 N D² (m + 1) for the maps of the ket, which
    pairs with the same ket share, and 2 N D (m + 2) + q for each product of q sites.
    """
    s = site_overlaps(bra, ket, g)
    dressed = bra * g[None, :]
    moved = jnp.einsum("iab,ib->ia", generator.one_site, ket)
    rate = jnp.sum(jnp.einsum("ia,ia->i", dressed, moved) / s)
    if generator.couplings:
        moved = jnp.einsum("mab,ib->mia", generator.matrices, ket)
        alpha = jnp.einsum("ia,mia->mi", dressed, moved) / s[None, :]
        for coupling in generator.couplings:
            # An explicit product over the few sites: the derivative of jnp.prod would divide by factors.
            product = jnp.asarray(coupling.weights)
            for letters, sites in zip(coupling.letters.T, coupling.sites.T, strict=True):
                product = product * alpha[letters, sites]
            rate = rate + jnp.sum(product)
    return overlap(s, log_scale) * rate


class GramFactors(NamedTuple):
    """⟨∂_iα bra, ∂_jβ ket⟩ = P (w_iα u_jβ + δ_ij h_iαβ), the derivatives' overlap of one pair (eq. 11).

    Attributes:
        overlap: P, scaled.
        bra: w_iα = ∂_iα v · g · v' / s_i, (N, p).
        ket: u_jβ = v · g · ∂_jβ v' / s_j, (N, p).
        site: h_iαβ = ∂_iα v · g · ∂_iβ v' / s_i - w_iα u_iβ, (N, p, p).
    """

    overlap: Scalar
    bra: Float[Array, "site parameter"]
    ket: Float[Array, "site parameter"]
    site: Float[Array, "site parameter parameter"]


def gram_factors(
    bra: Component,
    bra_tangents: Tangents,
    ket: Component,
    ket_tangents: Tangents,
    g: Metric,
    log_scale: Scalar,
) -> GramFactors:
    """The factors of the Gram matrix of one pair. Cost: 2 N D p (p + 2)."""
    s = site_overlaps(bra, ket, g)
    w = jnp.einsum("iap,a,ia->ip", bra_tangents, g, ket) / s[:, None]
    u = jnp.einsum("iap,a,ia->ip", ket_tangents, g, bra) / s[:, None]
    tangent_overlaps = jnp.einsum("iap,a,iaq->ipq", bra_tangents, g, ket_tangents)
    h = tangent_overlaps / s[:, None, None] - w[:, :, None] * u[:, None, :]
    return GramFactors(overlap(s, log_scale), w, u, h)
