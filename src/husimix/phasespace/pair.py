"""The physics of a pair of components: overlap, transfer and Gram factors in closed form.

A pair is given by its vectors at the contacts, (D, E) arrays with any number of trailing axes, so that the same
lines serve one pair and many. Nothing here knows of weights, groups, free sites or chunks, and nothing assumes a
value of D; `husimix.phasespace.kernels` maps these functions over pairs.

Products over sites are summed as logarithms and scaled by a common exp(-log_scale), so that thousands of sites
neither overflow nor underflow.
"""

import functools
import operator

import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["away_from_zero", "contracted", "overlap"]

Vectors = Float[Array, "operator *contacts"]
Scalars = Float[Array, "*contacts"]

# Site overlaps are divided out again below. In the Hilbert-Schmidt metric two antipodal spins have s = 0; moving
# s by at most this much keeps the quotients finite and the products right to the same accuracy.
_SMALLEST_SITE_OVERLAP = 1e-8


def contracted(left: Vectors, right: Vectors) -> Scalars:
    """Σ_a left_a right_a, as a sum that is fused with what makes left and right. Cost: 2 D."""
    products = [a * b for a, b in zip(jnp.unstack(left), jnp.unstack(right), strict=True)]
    return functools.reduce(operator.add, products)


def away_from_zero(s: Scalars) -> Scalars:
    """Site overlaps s = v · g · v' (docs/theory.md, eq. 9), kept away from exact zero."""
    floor = jnp.where(s < 0, -_SMALLEST_SITE_OVERLAP, _SMALLEST_SITE_OVERLAP)
    return jnp.where(jnp.abs(s) < _SMALLEST_SITE_OVERLAP, floor, s)


def overlap(log_sum: Scalars, n_negative: Scalars, log_scale: Float[Array, ""]) -> Scalars:
    """P = Π s · exp(-log_scale), from Σ log|s| and the number of negative factors."""
    return (1.0 - 2.0 * jnp.mod(n_negative, 2.0)) * jnp.exp(log_sum - log_scale)
