"""Blocks of the maps in the frame of the background, all that moves contract moments with."""

import itertools
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from husimix.clusters.moments import index_table, taken
from husimix.physics.local_maps import LocalMaps

__all__ = ["BlockRows", "FramedMaps"]


class BlockRows:
    """Numbers the blocks of all maps: which row of the table of blocks with r rows and c columns is which.

    A table holds, for each kind of maps, each choice of r of their sites and of c of their sites, one block of each
    map; the table with one row and no column also the moving frame, one block of each site. Its last block is 0.

    Args:
        maps: by number of sites.
        n_sites: N.
    """

    def __init__(self, maps: Sequence[LocalMaps], n_sites: int):
        self._maps = tuple(maps)
        self._n_sites = n_sites

    def of_maps(self, kind: int, mask: tuple[int, ...], columns: tuple[int, ...], numbers: np.ndarray) -> np.ndarray:
        """The blocks of maps of one kind, by the places of their rows and columns among the map's sites."""
        count, start = len(self._maps[kind].sites), 0
        for other, chosen, along in _block_order(self._maps, len(mask), len(columns)):
            if (other, chosen, along) == (kind, mask, columns):
                return start + numbers
            start += len(self._maps[other].sites)
        raise AssertionError(f"no block of {count} maps has rows {mask} and columns {columns}")

    def of_sites(self, sites: np.ndarray) -> np.ndarray:
        """The blocks of the moving frame."""
        return self._n_blocks(1, 0) + sites

    def zero(self, r: int, c: int) -> int:
        """The block that is 0."""
        return self._n_blocks(r, c) + (self._n_sites if (r, c) == (1, 0) else 0)

    def _n_blocks(self, r: int, c: int) -> int:
        return sum(len(self._maps[kind].sites) for kind, _, _ in _block_order(self._maps, r, c))


class FramedMaps(eqx.Module):
    """All maps, to be taken into the frame of a background.

    Attributes:
        sites: for each kind, (T, q) int.
        matrices: for each kind, the different maps (U, D^q, D^q).
        kinds: for each kind, which of them each is, (T,) int.
    """

    sites: tuple[Int[Array, "map q"], ...]
    matrices: tuple[Float[Array, "different row column"], ...]
    kinds: tuple[Int[Array, " map"], ...]

    @classmethod
    def of(cls, maps: Sequence[LocalMaps]) -> "FramedMaps":
        """On the device."""
        rows = [(index_table(some.sites), some.matrices, index_table(some.kinds)) for some in maps]
        return cls(*jax.device_put(tuple(zip(*rows, strict=True)) if rows else ((), (), ())))

    def tables(
        self, background: Float[Array, "site letter"], shapes: Sequence[tuple[int, int]]
    ) -> dict[tuple[int, int], Float[Array, "block row column"]]:
        """The tables of blocks of some shapes (r, c), without the moving frame and without the last, which is 0.

        G' = (⊗T) G (⊗T⁻¹) of docs/theory.md, eq. 26. Cost: 2 q D^(2 q + 1) multiplications for each map.
        """
        return self._tables(self._local(background), background.shape[1], shapes)

    def slopes(
        self, background: Float[Array, "site letter"], shapes: Sequence[tuple[int, int]]
    ) -> dict[tuple[int, int], tuple[Int[Array, "block q"], Float[Array, "q letter block row column"]]]:
        """For each block of these tables its sites, and its derivative by each letter of the background of each.

        Maps of fewer sites than others repeat their first; its derivative there is 0. Cost: q (D - 1) times that of
        `tables`.
        """
        local, letters = self._local(background), background.shape[1]
        most = max((sites.shape[1] for sites in self.sites), default=0)

        def along(direction: Float[Array, "q letter"]) -> dict[tuple[int, int], Array]:
            directions = [jnp.broadcast_to(direction[: b.shape[1]], b.shape) for b in local]
            return jax.jvp(lambda b: self._tables(b, letters, shapes), (local,), (directions,))[1]

        each = jnp.eye(most * letters).reshape(most, letters, most, letters)
        slopes = jax.vmap(jax.vmap(along))(each)
        filled = [jnp.concatenate([s, jnp.repeat(s[:, :1], most - s.shape[1], axis=1)], axis=1) for s in self.sites]
        sizes, made = [sites.shape[1] for sites in self.sites], {}
        for r, c in shapes:
            sites = [filled[kind] for kind, _, _ in _block_order_of(sizes, r, c)]
            made[r, c] = jnp.concatenate([jnp.zeros((0, most), dtype=jnp.uint32), *sites]), slopes[r, c]
        return made

    def _local(self, background: Float[Array, "site letter"]) -> list[Float[Array, "map q letter"]]:
        """For each kind, the background of the sites of each map."""
        return [taken(background, sites) for sites in self.sites]

    def _tables(
        self, local: Sequence[Float[Array, "map q letter"]], letters: int, shapes: Sequence[tuple[int, int]]
    ) -> dict[tuple[int, int], Float[Array, "block row column"]]:
        framed = [self._framed(number, b) for number, b in enumerate(local)]
        sizes = [sites.shape[1] for sites in self.sites]
        made = {}
        for r, c in shapes:
            parts = [jnp.zeros((0, letters**r, letters**c))]
            for kind, mask, columns in _block_order_of(sizes, r, c):
                block = framed[kind]
                q = sizes[kind]
                chosen = tuple(slice(1, None) if j in mask else 0 for j in range(q))
                chosen += tuple(slice(1, None) if j in columns else 0 for j in range(q))
                parts.append(block[(slice(None), *chosen)].reshape(-1, letters**r, letters**c))
            made[r, c] = jnp.concatenate(parts)
        return made

    def _framed(self, number: int, local: Float[Array, "map q letter"]) -> Float[Array, "map ..."]:
        """The maps of one kind in the frame, (T, D, …, D, D, …, D), rows before columns."""
        n_maps, q, letters = local.shape
        framed = taken(self.matrices[number], self.kinds[number]).reshape(n_maps, *(letters + 1,) * (2 * q))
        for j in range(q):
            b = local[:, j]
            rows = jnp.moveaxis(framed, 1 + j, 1)
            lowered = rows[:, 1:] - jnp.einsum("ta,t...->ta...", b, rows[:, 0])
            framed = jnp.moveaxis(jnp.concatenate([rows[:, :1], lowered], axis=1), 1, 1 + j)
            columns = jnp.moveaxis(framed, 1 + q + j, 1)
            first = columns[:, :1] + jnp.einsum("ta,ta...->t...", b, columns[:, 1:])[:, None]
            framed = jnp.moveaxis(jnp.concatenate([first, columns[:, 1:]], axis=1), 1, 1 + q + j)
        return framed


def _block_order(maps: Sequence[LocalMaps], r: int, c: int) -> list[tuple[int, tuple[int, ...], tuple[int, ...]]]:
    return _block_order_of([some.sites.shape[1] for some in maps], r, c)


def _block_order_of(sizes: Sequence[int], r: int, c: int) -> list[tuple[int, tuple[int, ...], tuple[int, ...]]]:
    """Kind, places of rows and places of columns of the blocks of a table, in its order."""
    return [
        (kind, mask, columns)
        for kind, q in enumerate(sizes)
        for mask in itertools.combinations(range(q), r)
        for columns in itertools.combinations(range(q), c)
    ]
