"""The tables behind the motion of moments: which maps bring which supports to which.

A *move* s ← s' through a map on sites t adds a block of the map, contracted with the moments of s' = (s∖t) ∪ u, to
those of s (docs/theory.md, eq. 29). Moves are grouped by the number n of sites of s, r of s∩t and c of u. All moves
of a group that bring to the same sites s∩t of the same support are one *slot*, whose blocks are contracted in one go;
slots have equally many moves, filled up with zeros, so that each group is one batched product. Everything here is array
operations.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from husimix.clusters.blocks import BlockRows
from husimix.clusters.moments import Lookup, MomentLayout, TwoPlaces, axis_patterns, index_table, taken
from husimix.clusters.orbits import Canonical
from husimix.clusters.rows import distinct_rows
from husimix.physics.local_maps import LocalMaps

__all__ = ["Moves", "Touching", "moves_into", "reached_supports"]


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


class Moves(eqx.Module):
    """All moves into the supports of n sites of a table.

    Attributes:
        n: how many sites they have.
        groups: by r and c.
        slots: (S, Y) int, the slots of each support, counted through all groups; the number of all slots fills up.
        patterns: (S, Y) int, how the letters on s∖t and s∩t of each become those of s.
        strings: (P, (D - 1)^n) int, for each pattern where each string of s stands among those of the slot.
    """

    n: int = eqx.field(static=True)
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
        """What all moves add to the moments of every support, (S, (D - 1)^n).

        Cost: (D - 1)^(n + c) multiplications for each move, and a gather of as many numbers as its source has.
        """
        size = maps.shape[1] ** self.n
        brought = [group.brought(self.n, moments, maps, tables[group.r, group.c]) for group in self.groups]
        brought = jnp.concatenate([*brought, jnp.zeros((1, size))]).reshape(-1)
        places = self.slots[..., None] * size + taken(self.strings, self.patterns)
        return jnp.sum(taken(brought, places), axis=1)


class Touching:
    """Which maps touch which sites.

    Args:
        maps: by number of sites.
        n_sites: N.
    """

    def __init__(self, maps: Sequence[LocalMaps], n_sites: int):
        self.maps = tuple(maps)
        self._tables = [self._table(some.sites, n_sites) for some in maps]

    @staticmethod
    def _table(sites: np.ndarray, n_sites: int) -> np.ndarray:
        """(N, A) int, the maps on each site; -1 fills up."""
        owners, order = sites.ravel(), np.argsort(sites.ravel(), kind="stable")
        counts = np.bincount(owners, minlength=n_sites)
        table = np.full((n_sites, int(counts.max(initial=0))), -1)
        starts = np.cumsum(counts) - counts
        ranked = owners[order]
        table[ranked, np.arange(len(ranked)) - starts[ranked]] = order // sites.shape[1]
        return table

    def meetings(self, rows: np.ndarray) -> "Iterator[_Meetings]":
        """Every map that shares sites with each of (S, n) supports, grouped by which of its sites they are."""
        for kind, (some, table) in enumerate(zip(self.maps, self._tables, strict=True)):
            found = table[rows]
            support, first, _ = np.nonzero(found >= 0)
            number = found[found >= 0]
            same = some.sites[number][:, :, None] == rows[support][:, None, :]
            inside, place = same.any(axis=2), same.argmax(axis=2)
            # A map that meets a support in several sites is found from each of them: once is enough.
            once = np.where(inside, place, rows.shape[1]).min(axis=1) == first
            q = some.sites.shape[1]
            for r in range(1, min(q, rows.shape[1]) + 1):
                for mask in itertools.combinations(range(q), r):
                    is_mask = np.isin(np.arange(q), mask)
                    chosen = once & (inside == is_mask).all(axis=1)
                    yield _Meetings(kind, mask, support[chosen], number[chosen], place[chosen][:, list(mask)])


class _Meetings(NamedTuple):
    """Maps of one kind that share the same of their sites with supports.

    Attributes:
        kind: which of `Touching.maps`.
        mask: the places among the map's sites that are shared.
        support: (E,) int.
        number: (E,) int, the map.
        places: (E, r) int, where the shared sites stand in the support.
    """

    kind: int
    mask: tuple[int, ...]
    support: np.ndarray
    number: np.ndarray
    places: np.ndarray

    def rest(self, rows: np.ndarray) -> np.ndarray:
        """(E, n - r) int, the sites of the supports that are not shared."""
        chosen, n = rows[self.support], rows.shape[1]
        kept = (np.arange(n)[None, :, None] != self.places[:, None, :]).all(axis=2)
        return chosen[kept].reshape(len(chosen), n - self.places.shape[1])


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
    parts = [part for (r, c), some in sorted(records.items()) for part in _groups(n, r, c, some, layout, block_rows)]
    owners = np.concatenate([np.zeros(0, dtype=int), *(part.support for part in parts)])
    places = np.concatenate([np.zeros((0, n), dtype=int), *(part.axes for part in parts)])
    slots = _by_owner(owners, len(rows))
    patterns, strings = axis_patterns(np.concatenate([places, np.arange(n)[None]]), layout.letters)
    tables = {"slots": index_table(slots), "patterns": patterns[slots], "strings": strings}
    return Moves(n=n, groups=tuple(part.group for part in parts), **jax.device_put(tables))


def reached_supports(layout: MomentLayout, touching: Touching) -> dict[int, np.ndarray]:
    """The supports of two and more sites that maps reach from kept ones and that are not kept, one of each orbit.

    A map on t that meets s' reaches (s'∖t) ∪ e for every e ⊆ t; from no site it reaches every e ⊆ t. Where supports in
    two places far apart are kept, those that are not are products of their parts, and left out.
    """
    found: dict[int, list[np.ndarray]] = {}
    for some in touching.maps:
        for n in range(2, some.sites.shape[1] + 1):
            for chosen in itertools.combinations(range(some.sites.shape[1]), n):
                found.setdefault(n, []).append(some.sites[:, list(chosen)])
    for rows in layout.family.by_size.values():
        for met in touching.meetings(rows):
            rest, sites = met.rest(rows), touching.maps[met.kind].sites[met.number]
            for e in range(1, sites.shape[1] + 1):
                for chosen in itertools.combinations(range(sites.shape[1]), e):
                    reached = np.concatenate([rest, sites[:, list(chosen)]], axis=1)
                    if reached.shape[1] >= 2:
                        found.setdefault(reached.shape[1], []).append(reached)
    dropped = {}
    for n, parts in sorted(found.items()):
        canonical = layout.orbits.canonical(distinct_rows(np.sort(np.concatenate(parts), axis=1))).sites
        distinct = distinct_rows(canonical)
        left = distinct[(layout.family.find(distinct) < 0) & ~layout.family.in_two_places(distinct).any(axis=1)]
        if len(left):
            dropped[n] = left
    return dropped


class _Part(NamedTuple):
    """A group with what tells where its slots belong.

    Attributes:
        group: of moves.
        support: (slots,) int, the support of each slot.
        axes: (slots, n) int, which axis of a slot each site of the support is.
    """

    group: MoveGroup
    support: np.ndarray
    axes: np.ndarray


def _groups(
    n: int, r: int, c: int, records: list[_Records], layout: MomentLayout, block_rows: BlockRows
) -> Iterator[_Part]:
    """The groups of some moves: those from kept supports, and from products of two that are far apart."""
    moves = _Records(*(np.concatenate(x) for x in zip(*records, strict=True)))
    if not moves.source.shape[1]:
        yield _part(n, r, c, moves, lambda table: None, block_rows)
        return
    found = layout.orbits.canonical(moves.source)
    place = layout.family.find(found.sites)
    kept = place >= 0
    if kept.any():
        lookup = layout.lookup_of(Canonical(*(x[kept] for x in found)), place[kept])
        yield _part(n, r, c, moves.of(kept), lambda table: _arranged(lookup, table), block_rows)
    first = layout.family.in_two_places(moves.source) & ~kept[:, None]
    for count in np.unique(first.sum(axis=1)):
        chosen = (first.sum(axis=1) == count) & (count > 0)
        if chosen.any():
            far, products = _products(moves.of(chosen), first[chosen], layout)
            yield _part(n, r, c, far, lambda table, p=products: _arranged(p, table), block_rows)


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
    return moves.of(kept), TwoPlaces(one, other, jax.device_put(patterns), jax.device_put(strings))


def _arranged(source: Any, table: Callable[[Any], np.ndarray]) -> Any:
    """A source of moves one after the other, with its rows and patterns put into the table of slots."""
    if isinstance(source, TwoPlaces):
        first, second = (_arranged(part, table) for part in (source.first, source.second))
        return TwoPlaces(first, second, jax.device_put(table(source.patterns)), source.strings)
    placed = jax.device_put((table(source.rows), table(source.patterns)))
    return eqx.tree_at(lambda lookup: (lookup.rows, lookup.patterns), source, placed)


def _part(
    n: int,
    r: int,
    c: int,
    moves: _Records,
    arranged: Callable[[Callable[[Any], np.ndarray]], Lookup | TwoPlaces | None],
    block_rows: BlockRows,
) -> _Part:
    """A group of moves, put into slots."""
    key = moves.support * n**r + moves.places @ n ** np.arange(r)
    slots, first, slot = np.unique(key, return_index=True, return_inverse=True)
    slot = slot.reshape(-1)
    order = np.argsort(slot, kind="stable")
    starts = np.searchsorted(slot[order], np.arange(len(slots)))
    position = np.arange(len(order)) - starts[slot[order]]
    at = slot[order], position
    shape = len(slots), int(position.max(initial=0)) + 1

    def table(values: Any, filler: int = 0) -> np.ndarray:
        # Places that no move fills read some moment, and multiply it by the block that is 0.
        filled = np.full(shape, filler)
        filled[at] = np.asarray(values)[order]
        return index_table(filled)

    blocks = jax.device_put(table(moves.block, block_rows.zero(r, c)))
    group = MoveGroup(r=r, c=c, source=arranged(table), blocks=blocks)
    return _Part(group, moves.support[first], _slot_axes(moves.places[first], n))


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
