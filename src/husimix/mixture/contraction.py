"""Small operations on arrays of pairs of components, laid out so that XLA fuses them."""

import functools
import operator

import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["contracted"]


def contracted(
    left: Float[Array, "operator *more pair"], right: Float[Array, "operator *more pair"]
) -> Float[Array, "*more pair"]:
    """Σ_a left_a right_a, as a sum that is fused with what makes left and right. Cost: 2 D."""
    products = [a * b for a, b in zip(jnp.unstack(left), jnp.unstack(right), strict=True)]
    return functools.reduce(operator.add, products)
