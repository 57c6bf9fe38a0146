"""Pairs of components, cut into tiles: as many pairs at once as the memory limit allows."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

__all__ = ["Pairs", "all_pairs", "over_tiles", "pairs_up_to_diagonal"]


class Pairs(NamedTuple):
    """Which components meet: bra[n] and ket[n]."""

    bra: Int[np.ndarray, " pair"]
    ket: Int[np.ndarray, " pair"]

    @classmethod
    def of(cls, indices: tuple[np.ndarray, ...]) -> "Pairs":
        """Pairs from two arrays of indices of any shape and kind."""
        return cls(*(i.ravel().astype(np.int32) for i in indices))


def all_pairs(n_bras: int, n_kets: int) -> Pairs:
    """Every bra with every ket, row by row."""
    return Pairs.of(tuple(np.indices((n_bras, n_kets))))


def pairs_up_to_diagonal(n: int) -> Pairs:
    """The pairs k <= l."""
    return Pairs.of(np.triu_indices(n))


def over_tiles(tile: Callable[[Array, Array], Any], pairs: Pairs, numbers: int, memory_limit: int) -> Any:
    """tile(bra indices, ket indices) over all pairs, stacked along a leading axis of pairs.

    Tiles have equal length; the last is filled up with the first pair, whose surplus results are cut off.

    Args:
        tile: the kernel of some pairs at once.
        pairs: all pairs.
        numbers: how many floats one pair costs.
        memory_limit: bytes that one tile may take.

    Returns:
        The results of all pairs.
    """
    n_pairs = len(pairs.bra)
    fit = max(1, min(n_pairs, memory_limit // (8 * numbers)))
    n_tiles = -(-n_pairs // fit)
    if n_tiles == 1:
        return tile(jnp.asarray(pairs.bra), jnp.asarray(pairs.ket))
    length = -(-n_pairs // n_tiles)
    filled = [np.concatenate([i, np.repeat(i[:1], n_tiles * length - n_pairs)]) for i in pairs]
    stacked = jax.lax.map(lambda chosen: tile(*chosen), tuple(jnp.asarray(i.reshape(n_tiles, length)) for i in filled))
    return jax.tree.map(lambda x: x.reshape(n_tiles * length, *x.shape[2:])[:n_pairs], stacked)
