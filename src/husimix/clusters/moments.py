"""The numbers that move, and how the moments of any set of sites are read off them.

A point holds the background of one site of each orbit and the central moments of one support of each orbit
(docs/theory.md, eqs. 23 and 30). The moments of another support of the orbit are those with axes in another order and
letters rotated; a `Lookup` is the table of this for many sets of one size.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from husimix.clusters.orbits import Canonical, Orbits
from husimix.clusters.rows import numbered_rows
from husimix.clusters.supports import Family

__all__ = ["Lookup", "MomentLayout", "Point", "Sites", "TwoPlaces", "axis_patterns", "index_table", "taken"]


class Point(NamedTuple):
    """What moves; also its rates of change.

    Attributes:
        background: (U, D - 1), local expectation values of one site of each orbit.
        moments: by n = 2, 3, … the central moments of the kept supports of n sites, (S_n, (D - 1)^n), the letter
            of the last site fastest.
    """

    background: Float[Array, "orbit letter"]
    moments: dict[int, Float[Array, "support string"]]


class Lookup(eqx.Module):
    """Where the moments of R sets of n sites are found.

    Attributes:
        variants: (V,) int, kept supports of n sites, each with its local maps undone; None where there are no local
            maps, and the variants are the kept supports as they are.
        labels: (V, n) int, the map of each axis; None where there are no local maps.
        rows: (R,) int, the variant of each set.
        patterns: (R,) int, how the axes of the variant become those of the set.
        strings: (P, (D - 1)^n) int, for each pattern where each string of letters of the set stands in the variant.
        is_kept: (R,) 1 or 0, whether a set is kept, else its moments are 0; None if all are.
        n: how many sites a set has.
    """

    variants: Int[Array, " variant"] | None
    labels: Int[Array, "variant n"] | None
    rows: Int[Array, "*set"]
    patterns: Int[Array, "*set"]
    strings: Int[Array, "pattern string"]
    is_kept: Float[Array, "*set"] | None
    n: int = eqx.field(static=True)

    def values(
        self, moments: Mapping[int, Float[Array, "support string"]], maps: Float[Array, "label letter letter"]
    ) -> Float[Array, "*set string"]:
        """The moments of every set, (..., (D - 1)^n). Cost: n (D - 1) for each number of a variant, 1 of a set."""
        found = kept = moments[self.n]
        if self.variants is not None and self.labels is not None:
            letters = maps.shape[1]
            tensor = taken(kept, self.variants).reshape(-1, *(letters,) * self.n)
            for axis in range(self.n):
                moved = jnp.moveaxis(tensor, 1 + axis, -1)
                moved = jnp.einsum("v...b,vab->v...a", moved, taken(maps, self.labels[:, axis]))
                tensor = jnp.moveaxis(moved, -1, 1 + axis)
            found = tensor.reshape(-1, kept.shape[1])
        places = self.rows[..., None] * kept.shape[1] + taken(self.strings, self.patterns)
        values = taken(found.reshape(-1), places)
        return values if self.is_kept is None else values * self.is_kept[..., None]

    def by_set(self) -> list[Array]:
        """The tables with one entry for each set."""
        return [x for x in (self.rows, self.patterns, self.is_kept) if x is not None]


class TwoPlaces(eqx.Module):
    """The moments of sets of sites in two places far apart, M_A ⊗ M_B of the parts in each place.

    Attributes:
        first, second: where the moments of the parts are found.
        patterns: (R,) int, how the axes of the two, one after the other, become those of the set.
        strings: (P, (D - 1)^n) int, for each pattern where each string of letters of the set stands among those.
    """

    first: Lookup
    second: Lookup
    patterns: Int[Array, "*set"]
    strings: Int[Array, "pattern string"]

    def values(
        self, moments: Mapping[int, Float[Array, "support string"]], maps: Float[Array, "label letter letter"]
    ) -> Float[Array, "*set string"]:
        """The products for every set, (..., (D - 1)^n). Cost: 2 for each number of a set."""
        first, second = (part.values(moments, maps) for part in (self.first, self.second))
        products = (first[..., :, None] * second[..., None, :]).reshape(*first.shape[:-1], -1)
        return jnp.take_along_axis(products, taken(self.strings, self.patterns).astype(int), axis=-1)

    def by_set(self) -> list[Array]:
        """The tables with one entry for each set."""
        return [*self.first.by_set(), *self.second.by_set(), self.patterns]


class Sites(eqx.Module):
    """Where the background of every site is found.

    Attributes:
        orbits: (N,) int, the orbit of each site.
        labels: (N,) int, the map that undoes the local map on the way; None where there are none.
    """

    orbits: Int[Array, " site"]
    labels: Int[Array, " site"] | None

    def values(
        self, background: Float[Array, "orbit letter"], maps: Float[Array, "label letter letter"]
    ) -> Float[Array, "site letter"]:
        """(N, D - 1), the background of every site."""
        found = taken(background, self.orbits)
        return found if self.labels is None else jnp.einsum("iab,ib->ia", taken(maps, self.labels), found)


@dataclasses.dataclass(frozen=True, eq=False)
class MomentLayout:
    """Which numbers there are, and how to look others up in them; made once for a run, in NumPy.

    Two layouts are equal if they have the same group and the same numbers, so that runs share compiled programs.

    Attributes:
        orbits: of the symmetry group.
        family: the kept supports.
        sites: (U,) int, one site of each orbit.
        letters: D - 1.
    """

    orbits: Orbits
    family: Family
    sites: np.ndarray
    letters: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MomentLayout) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)

    @functools.cached_property
    def _digest(self) -> bytes:
        lattice = self.orbits.lattice
        shape = None if lattice is None else (lattice.shape, len(lattice.basis))
        digest = hashlib.blake2b(repr((self.orbits.n_sites, self.letters, shape)).encode())
        for generator in self.orbits.generators:
            digest.update(generator.permutation.tobytes())
            if generator.rotations is not None:
                digest.update(b"rotations" + generator.rotations.tobytes())
        digest.update(self.family.neighbours.table.tobytes())
        for n, rows in self.family.by_size.items():
            digest.update(repr((n, rows.shape)).encode() + rows.tobytes())
        return digest.digest()

    @classmethod
    def of(cls, orbits: Orbits, family: Family, letters: int) -> "MomentLayout":
        """With one site of each orbit."""
        rows = orbits.canonical(np.arange(orbits.n_sites)[:, None]).sites
        return cls(orbits, family, np.unique(rows), letters)

    @property
    def sizes(self) -> range:
        """The numbers of sites n of kept supports, 2 first."""
        return range(2, max(self.family.by_size, default=1) + 1)

    @property
    def n_numbers(self) -> int:
        """How many numbers move."""
        return len(self.sites) * self.letters + self.family.n_numbers(self.letters)

    @functools.cached_property
    def _canonical_sites(self) -> Canonical:
        return self.orbits.canonical(np.arange(self.orbits.n_sites)[:, None])

    @property
    def site_orbits(self) -> np.ndarray:
        """(N,) int, which of `sites` each site can be carried to."""
        return np.searchsorted(self.sites, self._canonical_sites.sites[:, 0])

    def all_sites(self) -> Sites:
        """The background of every site."""
        labels = None if len(self.orbits.maps) == 1 else index_table(self._canonical_sites.labels[:, 0])
        return Sites(*jax.device_put((index_table(self.site_orbits), labels)))

    def lookup(self, sets: np.ndarray) -> Lookup:
        """Of (R, n) different sites in any order along each row; what is not kept is 0."""
        found = self.orbits.canonical(sets)
        return jax.device_put(self.lookup_of(found, self.family.find(found.sites)))

    def lookup_of(self, found: Canonical, place: np.ndarray) -> Lookup:
        """Of sets whose representatives and their places among the kept supports are known; in NumPy."""
        kept = place >= 0
        rows, variants, labels = np.where(kept, place, 0), None, None
        if len(self.orbits.maps) > 1:
            keys = np.column_stack([rows, _unmoved(found)]).astype(np.int64)
            distinct, rows = numbered_rows(keys)
            variants, labels = index_table(distinct[:, 0]), index_table(distinct[:, 1:])
        patterns, strings = axis_patterns(found.axes, self.letters)
        is_kept: Any = None if kept.all() else kept.astype(float)
        return Lookup(variants, labels, index_table(rows), patterns, strings, is_kept, n=found.sites.shape[1])


def index_table(values: np.ndarray) -> Any:
    """A table of places for `taken`."""
    return values.astype(np.uint32)


def taken(values: Array, places: Int[Array, "..."]) -> Array:
    """values[places], for places from `index_table`, which are within range: no code is made for those that are not."""
    return values.at[places].get(mode="promise_in_bounds")


def axis_patterns(axes: np.ndarray, letters: int) -> tuple[Any, Any]:
    """The different orders of axes among (R, n), and where strings of letters stand in each.

    Returns:
        (R,) int the pattern of each row, (P, letters^n) int for each pattern the place of every string.
    """
    n = axes.shape[1]
    distinct, patterns = numbered_rows(axes)
    digits = np.indices((letters,) * n).reshape(n, -1)
    strides = letters ** (n - 1 - distinct)
    return index_table(patterns), index_table(strides @ digits)


def _unmoved(found: Canonical) -> np.ndarray:
    """(R, n), the labels by axis of the representative."""
    labels = np.zeros_like(found.labels)
    np.put_along_axis(labels, found.axes, found.labels, axis=1)
    return labels
