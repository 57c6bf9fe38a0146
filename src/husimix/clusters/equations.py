"""The velocity of background and moments, and the flow out of the kept supports.

Rows of kept supports are kept, the rest is dropped (docs/theory.md, eqs. 27 to 29 and 32). Nothing is inverted.
"""

from collections.abc import Mapping
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from husimix.ansatz import Certificate
from husimix.clusters.blocks import FramedMaps
from husimix.clusters.moments import Point, Sites, taken
from husimix.clusters.moves import Moves

__all__ = ["Dropped", "Equations", "Occurrence"]


class Occurrence(NamedTuple):
    """How often supports of n sites occur, and where.

    Attributes:
        multiplicity: (S,) float, how many supports the orbit of each has.
        orbits: (S, n) int, of each of its sites.
    """

    multiplicity: Float[Array, " support"]
    orbits: Int[Array, "support n"]

    def spread(self, squares: Float[Array, " support"], n_orbits: int) -> Float[Array, " orbit"]:
        """A number for each support, summed over all supports and shared equally by the sites of each."""
        shares = jnp.broadcast_to((self.multiplicity * squares / self.orbits.shape[1])[:, None], self.orbits.shape)
        return jnp.zeros(n_orbits).at[self.orbits].add(shares, mode="promise_in_bounds")


class Dropped(NamedTuple):
    """Supports of n sites that are not kept and that maps reach from kept ones.

    Attributes:
        moves: into them.
        occurrence: of them.
    """

    moves: Moves
    occurrence: Occurrence


class Equations(eqx.Module):
    """The equations of motion of clusters.

    Attributes:
        maps: of the generator.
        orbit_maps: (L, D - 1, D - 1), the local maps of the symmetry group.
        sites: where the background of every site is found.
        moves: by n = 1, 2, … those into the kept supports of n sites.
        dropped: by n, those into supports that are not kept; None leaves the certificate out.
        site_multiplicity: (U,) how many sites each orbit has.
        occurrence: by n, of the kept supports.
        g: (D - 1,) metric weights of a site's letters.
        edge_damping: κ.
        edge: n beyond which moments are damped, by κ for each site more.
        shapes: (r, c) of all blocks that moves need.
    """

    maps: FramedMaps
    orbit_maps: Float[Array, "label letter letter"]
    sites: Sites
    moves: dict[int, Moves]
    dropped: dict[int, Dropped] | None
    site_multiplicity: Float[Array, " orbit"]
    occurrence: dict[int, Occurrence]
    g: Float[Array, " letter"]
    edge_damping: Float[Array, ""]
    edge: int = eqx.field(static=True)
    shapes: tuple[tuple[int, int], ...] = eqx.field(static=True)

    def velocity(self, point: Point) -> Point:
        """The rates of change. Cost: some tens of multiplications for each number kept."""
        tables, drift = self.tables(point)
        rates = {}
        for n, values in point.moments.items():
            rate = self.moves[n].total(point.moments, self.orbit_maps, tables)
            rates[n] = rate - self._extra_rate(n) * values if n > self.edge else rate
        return Point(drift, rates)

    def certificate(self, point: Point, rates: Point) -> Certificate:
        """The flow that is dropped (docs/theory.md, eq. 32), nan where it was left out.

        Cost: that of a velocity on the dropped supports, as many as the next size of clusters has.
        """
        drift = self.site_multiplicity @ (jnp.square(rates.background) @ self.g)
        damped = {n: self._extra_rate(n) * values for n, values in point.moments.items() if n > self.edge}
        undamped = {n: rate + damped[n] if n in damped else rate for n, rate in rates.moments.items()}
        norm = 1.0 + self._squares(point.moments)
        moved = drift + self._squares(rates.moments)
        by_orbit = self._dropped_squares(point)
        full = drift + self._squares(undamped) + jnp.sum(by_orbit)
        for n, values in damped.items():
            by_orbit = by_orbit + self.occurrence[n].spread(jnp.square(values) @ self._weights(n), len(by_orbit))
        missed = jnp.sum(by_orbit)
        tiny = jnp.finfo(float).tiny
        return Certificate(
            relative=jnp.sqrt(missed / norm),
            absolute=jnp.sqrt(missed),
            share=jnp.sqrt(missed / jnp.maximum(full, tiny)),
            speed=jnp.sqrt(moved / norm),
            flow=jnp.sqrt(full / norm),
            sites=jnp.sqrt(taken(by_orbit / self.site_multiplicity, self.sites.orbits)),
        )

    def _extra_rate(self, n: int) -> Float[Array, ""]:
        """Of the decay of moments of n sites (docs/theory.md, eq. 31)."""
        return (n - self.edge) * self.edge_damping

    def _dropped_squares(self, point: Point) -> Float[Array, " orbit"]:
        """Σ g |row|² of all dropped supports of all orbits, shared equally by the sites of each."""
        n_orbits = len(self.site_multiplicity)
        if self.dropped is None:
            return jnp.full(n_orbits, jnp.nan)
        tables, _ = self.tables(point)
        total = jnp.zeros(n_orbits)
        for n, dropped in self.dropped.items():
            rows = dropped.moves.rows(point.moments, self.orbit_maps, tables)
            total = total + dropped.occurrence.spread(jnp.square(rows) @ self._weights(n), n_orbits)
        return total

    def tables(self, point: Point) -> tuple[dict[tuple[int, int], Array], Array]:
        """All tables of blocks, each with its last block, and the drift ḃ of the background of each orbit."""
        background = self.sites.values(point.background, self.orbit_maps)
        tables = self.maps.tables(background, self.shapes)

        def closed(drift: Array) -> dict[tuple[int, int], Array]:
            """With the moving frame, a block of -ḃ of each site, and the block that is 0."""
            of_sites = -self.sites.values(drift, self.orbit_maps)[:, :, None]
            framed = {**tables, (1, 0): jnp.concatenate([tables[1, 0], of_sites])}
            return {shape: _with_zero(table) for shape, table in framed.items()}

        nothing = jnp.zeros_like(point.background)
        # Moves of single sites need no moving frame: there are no moments of no site but 1.
        drift = self.moves[1].total(point.moments, self.orbit_maps, closed(nothing))
        return closed(drift), drift

    def _squares(self, moments: Mapping[int, Array]) -> Float[Array, ""]:
        """Σ g M² over all supports of all orbits."""
        parts = [self.occurrence[n].multiplicity @ (jnp.square(m) @ self._weights(n)) for n, m in moments.items()]
        return jnp.sum(jnp.stack(parts)) if parts else jnp.zeros(())

    def _weights(self, n: int) -> Float[Array, " string"]:
        """Products of metric weights for every string of n letters."""
        weights = jnp.ones(1)
        for _ in range(n):
            weights = (weights[:, None] * self.g[None]).reshape(-1)
        return weights


def _with_zero(table: Float[Array, "block row column"]) -> Float[Array, "block row column"]:
    return jnp.concatenate([table, jnp.zeros((1, *table.shape[1:]))])
