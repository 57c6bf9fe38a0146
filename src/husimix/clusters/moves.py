"""The tables behind the motion of moments: which maps bring which supports to which.

A *move* s ← s' through a map on sites t adds a block of the map, contracted with the moments of s' = (s∖t) ∪ u, to
those of s (docs/theory.md, eq. 29). Moves are grouped by the number n of sites of s, r of s∩t and c of u. All moves
of a group that bring to the same sites s∩t of the same support are one *slot*, whose blocks are contracted in one go;
slots have equally many moves, filled up with zeros, so that each group is one batched product. Everything here is array
operations. Several devices share the slots of large tables, each has those of its own supports.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int

from husimix.clusters.blocks import BlockRows
from husimix.clusters.moments import Lookup, MomentLayout, TwoPlaces, axis_patterns, index_table, taken
from husimix.clusters.orbits import Canonical
from husimix.clusters.sharding import AXIS, Shares, mesh_for, placed, replicated
from husimix.clusters.touching import Touching

__all__ = ["MoveGroup", "Moves", "moves_into"]


class MoveGroup(eqx.Module):
    """All moves into supports of n sites with the same r and c.

    Attributes:
        r, c: see the module.
        source: the moments of s', (slots, Z) sets with the sites of s∖t first; None where s' is empty.
        blocks: (slots, Z) int, rows of the table of blocks with this r and c.
    """

    r: int = eqx.field(static=True)
    c: int = eqx.field(static=True)
    source: Lookup | TwoPlaces | None
    blocks: Int[Array, "slot move"]

    def brought(
        self,
        n: int,
        moments: Mapping[int, Float[Array, "support string"]],
        maps: Float[Array, "label letter letter"],
        table: Float[Array, "block row column"],
    ) -> Float[Array, "slot string"]:
        """What the moves of each slot bring, (slots, (D - 1)^n), the letters on s∖t before those on s∩t."""
        letters = maps.shape[1]
        block = taken(table, self.blocks)
        if self.source is None:
            return jnp.sum(block, axis=1).reshape(-1, letters**n)
        values = self.source.values(moments, maps)
        values = values.reshape(*self.blocks.shape, letters ** (n - self.r), letters**self.c)
        return jnp.einsum("szkc,szrc->skr", values, block).reshape(-1, letters**n)

    def by_slot(self) -> list[Any]:
        """The tables with one row for each slot."""
        return [self.blocks, *(() if self.source is None else self.source.by_set())]


class Moves(eqx.Module):
    """All moves into the supports of n sites of a table.

    Attributes:
        n: how many sites they have.
        n_supports: S.
        mesh: the devices that share the slots; None where one has all of them.
        groups: by r and c.
        slots: (S', Y) int, the slots of each support, counted through all groups of a device; the number of all of them
            fills up, also the S' - S rows that make the shares of all devices equal.
        patterns: (S', Y) int, how the letters on s∖t and s∩t of each become those of s.
        strings: (P, (D - 1)^n) int, for each pattern where each string of s stands among those of the slot.
    """

    n: int = eqx.field(static=True)
    n_supports: int = eqx.field(static=True)
    mesh: Mesh | None = eqx.field(static=True)
    groups: tuple[MoveGroup, ...]
    slots: Int[Array, "support slot"]
    patterns: Int[Array, "support slot"]
    strings: Int[Array, "pattern string"]

    def total(
        self,
        moments: Mapping[int, Float[Array, "support string"]],
        maps: Float[Array, "label letter letter"],
        tables: Mapping[tuple[int, int], Float[Array, "block row column"]],
    ) -> Float[Array, "support string"]:
        """What all moves add to the moments of every support, (S, (D - 1)^n), on every device; see `rows`."""
        rows = self.rows(moments, maps, tables)
        return rows if self.mesh is None else replicated(rows, self.mesh)[: self.n_supports]

    def rows(
        self,
        moments: Mapping[int, Float[Array, "support string"]],
        maps: Float[Array, "label letter letter"],
        tables: Mapping[tuple[int, int], Float[Array, "block row column"]],
    ) -> Float[Array, "row string"]:
        """The same with the rows that fill up, (S', (D - 1)^n), split over the devices; those rows are 0.

        Cost: (D - 1)^(n + c) multiplications for each move, and a gather of as many numbers as its source has; each of
        k devices has one k-th of that, and of the memory for it.
        """
        if self.mesh is None:
            return self._own_rows(moments, maps, tables)
        whole = PartitionSpec()
        of_device = jax.shard_map(
            Moves._own_rows, mesh=self.mesh, in_specs=(self.specs(), whole, whole, whole), out_specs=PartitionSpec(AXIS)
        )
        return of_device(self, moments, maps, tables)

    def specs(self) -> Any:
        """By table, whether devices share it."""

        def shared(moves: Any) -> list[Any]:
            return [moves.slots, moves.patterns, *(table for group in moves.groups for table in group.by_slot())]

        specs = jax.tree.map(lambda _: PartitionSpec(), self)
        return eqx.tree_at(shared, specs, replace_fn=lambda _: PartitionSpec(AXIS))

    def _own_rows(
        self,
        moments: Mapping[int, Float[Array, "support string"]],
        maps: Float[Array, "label letter letter"],
        tables: Mapping[tuple[int, int], Float[Array, "block row column"]],
    ) -> Float[Array, "row string"]:
        """The rows of one device, by its share of the tables."""
        size = maps.shape[1] ** self.n
        brought = [group.brought(self.n, moments, maps, tables[group.r, group.c]) for group in self.groups]
        brought = jnp.concatenate([*brought, jnp.zeros((1, size))]).reshape(-1)
        places = self.slots[..., None] * size + taken(self.strings, self.patterns)
        return jnp.sum(taken(brought, places), axis=1)


class _Records(NamedTuple):
    """Moves of one group, one after the other.

    Attributes:
        support: (M,) int, the target.
        places: (M, r) int, where s∩t stands in it.
        block: (M,) int, the row of the table of blocks.
        source: (M, n') int, the sites of s', those of s∖t first.
    """

    support: np.ndarray
    places: np.ndarray
    block: np.ndarray
    source: np.ndarray

    def of(self, chosen: np.ndarray) -> "_Records":
        """Some of them."""
        return _Records(*(x[chosen] for x in self))


def moves_into(rows: np.ndarray, layout: MomentLayout, touching: Touching, block_rows: BlockRows) -> Moves:
    """All moves into supports of n sites from kept ones, with those of the moving frame.

    Args:
        rows: (S, n) int, the supports, sites increasing.
        layout: of what is kept.
        touching: the maps.
        block_rows: numbers the blocks.

    Returns:
        The moves, in one group for each (r, c) that occurs.
    """
    n, records = rows.shape[1], {}
    for met in touching.meetings(rows):
        r, rest = len(met.mask), met.rest(rows)
        sites = touching.maps[met.kind].sites[met.number]
        for c in range(sites.shape[1] + 1):
            if not layout.family.may_hold(n - r + c):
                continue
            for columns in itertools.combinations(range(sites.shape[1]), c):
                source = np.concatenate([rest, sites[:, list(columns)]], axis=1)
                block = block_rows.of_maps(met.kind, met.mask, columns, met.number)
                records.setdefault((r, c), []).append(_Records(met.support, met.places, block, source))
    if n - 1 in layout.family.by_size:
        # The moving frame: -ḃ_i on each site, as a block of one row and no column.
        for place in range(n):
            source, support = np.delete(rows, place, axis=1), np.arange(len(rows))
            places, block = np.full((len(rows), 1), place), block_rows.of_sites(rows[:, place])
            records.setdefault((1, 0), []).append(_Records(support, places, block, source))
    n_gathered = sum(
        layout.letters ** part.source.shape[1] * len(part.support) for some in records.values() for part in some
    )
    mesh = mesh_for(n_gathered)
    shares = Shares(len(rows), 1 if mesh is None else mesh.size)
    parts = [
        part for (r, c), some in sorted(records.items()) for part in _groups(n, r, c, some, layout, block_rows, shares)
    ]
    moves = _joined(n, parts, layout.letters, shares, mesh)
    return placed(moves, moves.specs(), mesh)


class _Part(NamedTuple):
    """A group with what tells where its slots belong.

    Attributes:
        group: of moves.
        support: (R,) int, the support of each slot, without those that fill up.
        axes: (R, n) int, which axis of a slot each site of the support is.
        place: (R,) int, where each slot stands on its device.
        width: how many slots each device has.
    """

    group: MoveGroup
    support: np.ndarray
    axes: np.ndarray
    place: np.ndarray
    width: int


def _joined(n: int, parts: Sequence[_Part], letters: int, shares: Shares, mesh: Mesh | None) -> Moves:
    """The moves of all groups, in NumPy."""
    starts = np.cumsum([0, *(part.width for part in parts)])
    filler = int(starts[-1])
    owners = np.concatenate([np.zeros(0, dtype=int), *(part.support for part in parts)])
    numbers = np.concatenate([*(part.place + start for part, start in zip(parts, starts, strict=False)), [filler]])
    axes = np.concatenate([np.zeros((0, n), dtype=int), *(part.axes for part in parts), np.arange(n)[None]])
    slots = _by_owner(owners, shares.n_rows)
    patterns, strings = axis_patterns(axes, letters)
    return Moves(
        n=n,
        n_supports=shares.n_supports,
        mesh=mesh,
        groups=tuple(part.group for part in parts),
        slots=index_table(numbers[slots]),
        patterns=patterns[slots],
        strings=strings,
    )


def _groups(
    n: int,
    r: int,
    c: int,
    records: list[_Records],
    layout: MomentLayout,
    block_rows: BlockRows,
    shares: Shares,
) -> Iterator[_Part]:
    """The groups of some moves: those from kept supports, and from products of two that are far apart."""
    moves = _Records(*(np.concatenate(x) for x in zip(*records, strict=True)))
    if not moves.source.shape[1]:
        yield _part(n, r, c, moves, lambda table: None, block_rows, shares)
        return
    found = layout.orbits.canonical(moves.source)
    place = layout.family.find(found.sites)
    kept = place >= 0
    if kept.any():
        lookup = layout.lookup_of(Canonical(*(x[kept] for x in found)), place[kept])
        yield _part(n, r, c, moves.of(kept), lambda table: _arranged(lookup, table), block_rows, shares)
    first = layout.family.in_two_places(moves.source) & ~kept[:, None]
    for count in np.unique(first.sum(axis=1)):
        chosen = (first.sum(axis=1) == count) & (count > 0)
        if chosen.any():
            far, products = _products(moves.of(chosen), first[chosen], layout)
            yield _part(n, r, c, far, lambda table, p=products: _arranged(p, table), block_rows, shares)


def _products(moves: _Records, first: np.ndarray, layout: MomentLayout) -> tuple[_Records, TwoPlaces]:
    """Moves from sets in two places, those whose parts are kept, and the products of these."""
    order = np.argsort(~first, axis=1, kind="stable")
    count = int(first[0].sum())
    rows = np.take_along_axis(moves.source, order, axis=1)
    found = [layout.orbits.canonical(part) for part in (rows[:, :count], rows[:, count:])]
    places = [layout.family.find(part.sites) for part in found]
    kept = (places[0] >= 0) & (places[1] >= 0)
    one, other = (
        layout.lookup_of(Canonical(*(x[kept] for x in part)), place[kept])
        for part, place in zip(found, places, strict=True)
    )
    patterns, strings = axis_patterns(np.argsort(order, axis=1, kind="stable")[kept], layout.letters)
    return moves.of(kept), TwoPlaces(one, other, patterns, strings)


def _arranged(source: Any, table: Callable[[Any], Any]) -> Any:
    """A source of moves one after the other, with its rows and patterns put into the table of slots."""
    if isinstance(source, TwoPlaces):
        first, second = (_arranged(part, table) for part in (source.first, source.second))
        return TwoPlaces(first, second, table(source.patterns), source.strings)
    arranged = table(source.rows), table(source.patterns)
    return eqx.tree_at(lambda lookup: (lookup.rows, lookup.patterns), source, arranged)


def _part(
    n: int,
    r: int,
    c: int,
    moves: _Records,
    arranged: Callable[[Callable[[Any], Any]], Lookup | TwoPlaces | None],
    block_rows: BlockRows,
    shares: Shares,
) -> _Part:
    """A group of moves, put into slots."""
    key = moves.support * n**r + moves.places @ n ** np.arange(r)
    slots, first, slot = np.unique(key, return_index=True, return_inverse=True)
    slot = slot.reshape(-1)
    order = np.argsort(slot, kind="stable")
    starts = np.searchsorted(slot[order], np.arange(len(slots)))
    position = np.arange(len(order)) - starts[slot[order]]
    support = moves.support[first]
    device, place, width = shares.numbered(support)
    at = (device * width + place)[slot[order]], position
    shape = shares.n_devices * width, int(position.max(initial=0)) + 1

    def table(values: Any, filler: int = 0) -> Any:
        # Places that no move fills read some moment, and multiply it by the block that is 0.
        filled = np.full(shape, filler)
        filled[at] = np.asarray(values)[order]
        return index_table(filled)

    group = MoveGroup(r=r, c=c, source=arranged(table), blocks=table(moves.block, block_rows.zero(r, c)))
    return _Part(group, support, _slot_axes(moves.places[first], n), place, width)


def _slot_axes(places: np.ndarray, n: int) -> np.ndarray:
    """(slots, n) int: which axis of a slot, the rest first, each site of the support is."""
    shared = (np.arange(n)[None, :, None] == places[:, None, :]).any(axis=2)
    order = np.argsort(shared, axis=1, kind="stable")
    axes = np.argsort(order, axis=1, kind="stable")
    # The shared sites stand in the order of the map's sites, which is that of increasing sites.
    return axes


def _by_owner(owners: np.ndarray, n_owners: int) -> np.ndarray:
    """(n_owners, Y) int: the indices of each owner; the number of all indices fills up."""
    order = np.argsort(owners, kind="stable")
    counts = np.bincount(owners, minlength=n_owners)
    table = np.full((n_owners, int(counts.max(initial=0))), len(owners))
    starts = np.cumsum(counts) - counts
    ranked = owners[order]
    table[ranked, np.arange(len(ranked)) - starts[ranked]] = order
    return table
