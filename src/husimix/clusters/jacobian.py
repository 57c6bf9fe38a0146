"""The derivative of the velocity as a sparse matrix, from the tables of moves.

A velocity is a sum of products of a block of a map, which depends on the background, and of a moment or two
(docs/theory.md, eq. 29). Each of its derivatives is such a product with one factor left out, and a row of J = ∂v/∂x has
few numbers that are not 0. They are put together on the host, in NumPy: what runs a few times only is not worth a
program. Numbers are in the order of a flat point: the background, then moments by number of sites.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import jax
import numpy as np
import scipy.sparse

from husimix._compilation import compiled
from husimix.clusters.equations import Equations
from husimix.clusters.moments import Lookup, Point, Sites
from husimix.clusters.moves import MoveGroup, Moves
from husimix.clusters.stabilisers import Symmetrisation

__all__ = ["jacobian"]

Matrix = Any
"""A `scipy.sparse.csr_array`, whose annotations are too narrow."""

# The most products that are put together, most of them 0: 50 million, of 10⁵ numbers, take 0.2 GiB and a second.
_MOST_PRODUCTS = 1 << 28


def jacobian(equations: Equations, symmetrisation: Symmetrisation, point: Point) -> tuple[Matrix, Matrix] | None:
    """∂v/∂x at a point, and the projection on symmetric points that v begins with, both (P, P).

    Cost: (D - 1)^(n + c) products for each move, and q (D - 1)^(n + 1) for its derivative by the background.

    Returns:
        Sparse matrices; None where there would be more than 2^28 products.
    """
    moves, letters = equations.moves.values(), point.background.shape[1]
    if sum(_n_products(some, letters) for some in moves) > _MOST_PRODUCTS:
        return None
    numbers, maps = _Numbers.of(point), np.asarray(equations.orbit_maps)
    projection = _projection(symmetrisation, numbers, maps)
    symmetric = numbers.replaced(projection @ numbers.flat)
    parts: dict[int, Any] = dict(symmetric.parts)
    tables, slopes = jax.device_get(_blocks(equations, Point(parts.pop(1), parts)))
    derivatives = _Derivatives(equations, symmetric, maps, tables, slopes)
    drift, _ = derivatives.of(1)
    rows = [drift]
    for n in list(numbers.parts)[1:]:
        rates, by_drift = derivatives.of(n)
        extra = max(n - equations.edge, 0) * float(equations.edge_damping)
        rows.append(rates + by_drift @ drift - extra * numbers.part(n))
    return scipy.sparse.csr_array(scipy.sparse.vstack(rows) @ projection), projection


class _Numbers:
    """The numbers of a point on the host, and where they stand in a flat one.

    Attributes:
        parts: by number of sites n, the moments (S, (D - 1)^n); for n = 1 the background.
    """

    def __init__(self, parts: Mapping[int, np.ndarray]):
        self.parts = parts
        self._starts = np.cumsum([0, *(part.size for part in parts.values())])

    @classmethod
    def of(cls, point: Point) -> Self:
        """Those of a point."""
        parts = {1: point.background} | {n: point.moments[n] for n in sorted(point.moments)}
        return cls({n: np.asarray(part) for n, part in parts.items()})

    @property
    def flat(self) -> np.ndarray:
        """(P,) all numbers."""
        return np.concatenate([part.ravel() for part in self.parts.values()])

    def replaced(self, flat: np.ndarray) -> Self:
        """Other numbers in these places."""
        found = zip(self.parts.items(), np.split(flat, self._starts[1:-1]), strict=True)
        return type(self)({n: some.reshape(part.shape) for (n, part), some in found})

    def part(self, n: int) -> Matrix:
        """(P_n, P), what takes the numbers of n sites out of a flat point."""
        start, total = int(self._starts[list(self.parts).index(n)]), int(self._starts[-1])
        return scipy.sparse.eye_array(self.parts[n].size, total, k=start, format="csr")


class _Factor(NamedTuple):
    """A moment in the products of moves.

    Attributes:
        n: of how many sites.
        places: (...) int, which number of n sites it is, after `spread`.
        weights: (...), what else is in the product but the block: the other moment, or 1.
        spread: from the numbers of n sites to those with local maps undone; None where these are none.
    """

    n: int
    places: np.ndarray
    weights: np.ndarray
    spread: Matrix | None

    @classmethod
    def of(cls, lookup: Lookup, numbers: _Numbers, maps: np.ndarray) -> "_Factor":
        """What a lookup reads, (..., (D - 1)^n)."""
        strings, rows, patterns = (
            np.asarray(x).astype(np.int64) for x in (lookup.strings, lookup.rows, lookup.patterns)
        )
        places = rows[..., None] * strings.shape[1] + strings[patterns]
        weights = np.ones(places.shape)
        if lookup.is_kept is not None:
            weights *= np.asarray(lookup.is_kept)[..., None]
        return cls(lookup.n, places, weights, _spread(lookup, numbers, maps))

    def values(self, numbers: _Numbers) -> np.ndarray:
        """The moments times their weights."""
        flat = numbers.parts[self.n].ravel()
        return (flat if self.spread is None else self.spread @ flat)[self.places] * self.weights

    def shaped(self, shape: tuple[int, ...]) -> "_Factor":
        """The same in another shape."""
        return self._replace(places=self.places.reshape(shape), weights=self.weights.reshape(shape))

    def chosen(self, index: Any, weights: np.ndarray) -> "_Factor":
        """Some of the moments, with more factors."""
        return self._replace(
            places=np.take_along_axis(self.places, index, axis=-1),
            weights=np.take_along_axis(self.weights, index, axis=-1) * weights,
        )

    def matrix(
        self, rows: np.ndarray, places: np.ndarray, values: np.ndarray, n_rows: int, numbers: _Numbers
    ) -> Matrix:
        """Σ values in rows and at places, as a matrix on a flat point."""
        size = numbers.parts[self.n].size if self.spread is None else self.spread.shape[0]
        found = _summed(rows, places, values, (n_rows, size))
        return (found if self.spread is None else found @ self.spread) @ numbers.part(self.n)


class _Source(NamedTuple):
    """What the moves of a group multiply their blocks with.

    Attributes:
        values: (slots, Z, (D - 1)^(n - r), (D - 1)^c), the product of all factors.
        factors: the moments in it, each of the same shape.
    """

    values: np.ndarray
    factors: list[_Factor]

    @classmethod
    def of(cls, group: MoveGroup, n: int, numbers: _Numbers, maps: np.ndarray) -> "_Source":
        """Of a group of moves into supports of n sites."""
        letters, source = maps.shape[1], group.source
        shape = (*group.blocks.shape, letters ** (n - group.r), letters**group.c)
        if source is None:
            return cls(np.ones(shape), [])
        if isinstance(source, Lookup):
            factors = [_Factor.of(source, numbers, maps)]
            values = factors[0].values(numbers)
        else:
            first, second = (_Factor.of(part, numbers, maps) for part in (source.first, source.second))
            strings = np.asarray(source.strings).astype(np.int64)[np.asarray(source.patterns)]
            index = np.divmod(strings, letters**source.second.n)
            one, other = (
                np.take_along_axis(factor.values(numbers), at, axis=-1)
                for factor, at in zip((first, second), index, strict=True)
            )
            factors, values = [first.chosen(index[0], other), second.chosen(index[1], one)], one * other
        return cls(values.reshape(shape), [factor.shaped(shape) for factor in factors])


class _Derivatives:
    """The derivatives of what moves bring.

    Args:
        equations: whose moves.
        numbers: of the point.
        maps: (L, D - 1, D - 1), the local maps of the group.
        tables: of blocks, by shape.
        slopes: of these by the background, see `FramedMaps.slopes`.
    """

    def __init__(self, equations: Equations, numbers: _Numbers, maps: np.ndarray, tables: dict, slopes: dict):
        self._equations, self._numbers, self._maps = equations, numbers, maps
        self._tables, self._slopes, self._letters = tables, slopes, maps.shape[1]
        self._of_sites = _of_sites(equations.sites, maps, len(numbers.parts[1]))

    def of(self, n: int) -> tuple[Matrix, Matrix]:
        """Of the rates of n sites: by all numbers (P_n, P) with the drift as it is, and by the drift (P_n, P_1)."""
        moves = self._equations.moves[n]
        n_rows = moves.n_supports * self._letters**n
        n_sites = self._of_sites.shape[0]
        by_moments = scipy.sparse.csr_array((n_rows, self._numbers.part(1).shape[1]))
        by_background, by_drift = (scipy.sparse.csr_array((n_rows, n_sites)) for _ in range(2))
        for group, targets in zip(moves.groups, _targets(moves, self._letters), strict=True):
            source = _Source.of(group, n, self._numbers, self._maps)
            rows = targets.reshape(len(targets), -1, self._letters**group.r)
            by_moments += self._by_moments(group, source, rows, n_rows)
            by_background += self._by_background(group, source, rows, n_rows)
            if (group.r, group.c) == (1, 0):
                by_drift += self._by_drift(group, source, rows, n_rows)
        total = by_moments + by_background @ self._of_sites @ self._numbers.part(1)
        return total, by_drift @ self._of_sites

    def _by_moments(self, group: MoveGroup, source: _Source, rows: np.ndarray, n_rows: int) -> Matrix:
        """(P_n, P): a block times what is left of a product when a moment is left out."""
        block = self._tables[group.r, group.c][np.asarray(group.blocks)]
        slot, move, row, column = np.nonzero(block)
        into = rows[slot, :, row]
        found = scipy.sparse.csr_array((n_rows, self._numbers.part(1).shape[1]))
        for factor in source.factors:
            values = block[slot, move, row, column][:, None] * factor.weights[slot, move, :, column]
            found += factor.matrix(into, factor.places[slot, move, :, column], values, n_rows, self._numbers)
        return found

    def _by_background(self, group: MoveGroup, source: _Source, rows: np.ndarray, n_rows: int) -> Matrix:
        """(P_n, N (D - 1)): the slope of a block times the moments."""
        sites, slopes = self._slopes[group.r, group.c]
        blocks, n_columns = np.asarray(group.blocks).astype(np.int64), self._of_sites.shape[0]
        # Blocks of the moving frame and the one that is 0 have no slope.
        of_maps = np.nonzero(blocks < len(sites))
        slope = np.moveaxis(slopes, 2, 0)[blocks[of_maps]]
        found, place, letter, row, column = np.nonzero(slope)
        slot, move = of_maps[0][found], of_maps[1][found]
        values = slope[found, place, letter, row, column][:, None] * source.values[slot, move, :, column]
        columns = np.broadcast_to((sites[blocks[slot, move], place] * self._letters + letter)[:, None], values.shape)
        return _summed(rows[slot, :, row], columns, values, (n_rows, n_columns))

    def _by_drift(self, group: MoveGroup, source: _Source, rows: np.ndarray, n_rows: int) -> Matrix:
        """(P_n, N (D - 1)): minus the moments, by the blocks of the moving frame, -ḃ of each site."""
        blocks, n_columns = np.asarray(group.blocks), self._of_sites.shape[0]
        first = len(self._tables[1, 0]) - 1 - n_columns // self._letters
        slot, move = np.nonzero((blocks >= first) & (blocks < len(self._tables[1, 0]) - 1))
        values = np.broadcast_to(-source.values[slot, move], (len(slot), *rows.shape[1:]))
        columns = (blocks[slot, move].astype(np.int64) - first)[:, None, None] * self._letters
        columns = np.broadcast_to(columns + np.arange(self._letters), values.shape)
        return _summed(rows[slot], columns, values, (n_rows, n_columns))


@compiled
def _blocks(equations: Equations, point: Point) -> tuple[dict, dict]:
    """The tables of blocks, and their slopes."""
    background = equations.sites.values(point.background, equations.orbit_maps)
    return equations.tables(point)[0], equations.maps.slopes(background, equations.shapes)


def _targets(moves: Moves, letters: int) -> list[np.ndarray]:
    """For each group (slots, (D - 1)^n) int: where the strings of each slot stand among the moments of n sites."""
    n_devices = 1 if moves.mesh is None else moves.mesh.size
    widths = [len(group.blocks) // n_devices for group in moves.groups]
    slots, patterns = (np.asarray(x).reshape(n_devices, -1, x.shape[1]) for x in (moves.slots, moves.patterns))
    shape = n_devices, sum(widths) + 1
    owners, pattern, device = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64), np.arange(n_devices)
    at = device[:, None, None], slots
    owners[at], pattern[at] = np.arange(len(moves.slots)).reshape(n_devices, -1, 1), patterns
    strings = np.argsort(np.asarray(moves.strings), axis=1)
    targets = owners[..., None] * letters**moves.n + strings[pattern]
    parts = np.split(targets, np.cumsum(widths), axis=1)[:-1]
    return [part.reshape(-1, letters**moves.n) for part in parts]


def _of_sites(sites: Sites, maps: np.ndarray, n_orbits: int) -> Matrix:
    """(N (D - 1), U (D - 1)), the background of every site from that of the orbits."""
    orbits, letters = np.asarray(sites.orbits).astype(np.int64), maps.shape[1]
    if sites.labels is None:
        blocks = np.broadcast_to(np.eye(letters), (len(orbits), letters, letters))
    else:
        blocks = maps[np.asarray(sites.labels)]
    rows = np.arange(len(orbits) * letters).reshape(-1, letters, 1)
    columns = (orbits[:, None] * letters + np.arange(letters))[:, None, :]
    shape = (len(orbits) * letters, n_orbits * letters)
    rows, columns, blocks = np.broadcast_arrays(rows, columns, blocks)
    return _summed(rows, columns, blocks, shape)


def _spread(lookup: Lookup, numbers: _Numbers, maps: np.ndarray) -> Matrix | None:
    """From the flat moments of n sites to those of the variants of a lookup, axis by axis; None without local maps."""
    if lookup.variants is None or lookup.labels is None:
        return None
    variants, labels = (np.asarray(x).astype(np.int64) for x in (lookup.variants, lookup.labels))
    letters, size = maps.shape[1], maps.shape[1] ** lookup.n
    places = np.arange(len(variants) * size).reshape(len(variants), size)
    kept = variants[:, None] * size + np.arange(size)
    spread = _summed(places, kept, np.ones(places.shape), (places.size, numbers.parts[lookup.n].size))
    for axis in range(lookup.n):
        stride = letters ** (lookup.n - 1 - axis)
        digit = np.arange(size) // stride % letters
        moved = places[:, :, None] + (np.arange(letters) - digit[:, None]) * stride
        values = maps[labels[:, axis]][:, digit]
        rows = np.broadcast_to(places[:, :, None], moved.shape)
        spread = _summed(rows, moved, values, (places.size, places.size)) @ spread
    return spread


def _projection(symmetrisation: Symmetrisation, numbers: _Numbers, maps: np.ndarray) -> Matrix:
    """(P, P), what `Symmetrisation` does to a flat point."""
    parts = []
    for n in numbers.parts:
        part = numbers.part(n)
        if n in symmetrisation.tied:
            tied = symmetrisation.tied[n]
            image, size = _Factor.of(tied.lookup, numbers, maps), maps.shape[1] ** n
            places, owners = np.asarray(tied.places).astype(np.int64), np.asarray(tied.owners)
            rows = places[owners][:, None] * size + np.arange(size)
            values = image.weights * np.asarray(tied.shares)[:, None]
            is_free = np.ones(len(numbers.parts[n]))
            is_free[places] = 0.0
            part = scipy.sparse.diags_array(np.repeat(is_free, size)) @ part
            part = part + image.matrix(rows, image.places, values, part.shape[0], numbers)
        parts.append(part)
    return scipy.sparse.csr_array(scipy.sparse.vstack(parts))


def _summed(rows: np.ndarray, columns: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> Matrix:
    """The sparse matrix with these values; those in one place are added, those that are 0 left out."""
    kept = np.nonzero(np.ravel(values))[0]
    index = np.ravel(rows)[kept], np.ravel(columns)[kept]
    return scipy.sparse.csr_array((np.ravel(values)[kept], index), shape=shape)


def _n_products(moves: Moves, letters: int) -> int:
    return sum(group.blocks.size * letters ** (moves.n + max(group.c, 2)) for group in moves.groups)
