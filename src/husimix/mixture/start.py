"""The components that a run begins with, and those that come later."""

import jax
import numpy as np
from jaxtyping import Array, Float

from husimix._errors import refusal
from husimix.mixture.equations import Point
from husimix.mixture.manifolds import AbstractManifold

__all__ = ["with_components"]


def with_components(
    weights: Float[Array, " component"],
    coordinates: np.ndarray,
    manifold: AbstractManifold,
    n_components: int,
    spread: float,
    seed: int,
) -> Point:
    """The same state with more components: copies of weight 0, scattered around those there are.

    Zero weights leave the state unchanged; the scatter gives the extra components directions to grow in.

    Args:
        weights: (K₀,) of the components there are; they come first.
        coordinates: (K₀, F, A) of their free sites.
        manifold: where the components live.
        n_components: K, at least K₀.
        spread: typical distance of a copy from its original, in Bloch vector length.
        seed: of the random directions.

    Returns:
        A point of K components with equal R.

    Raises:
        ValueError: if K is below the number of components of the state.
    """
    extra = n_components - len(weights)
    if extra < 0:
        raise refusal(
            "components",
            f"be at least {len(weights)}, the number in the initial state",
            n_components,
            "Components can be added but not taken away.",
        )
    # All in NumPy: compiling JAX's random numbers would take a second.
    originals = np.asarray(coordinates)[np.arange(extra) % len(weights)]
    scattered = manifold.scattered(np.random.default_rng(seed), originals, spread)
    placed = jax.device_put((np.append(weights, np.zeros(extra)), np.concatenate([coordinates, scattered])))
    return Point(*placed)
