"""The tables behind the motion of moments: which maps bring which supports to which.

A *move* s ← s' through a map on sites t adds a block of the map, contracted with the moments of s' = (s∖t) ∪ u, to
those of s (docs/theory.md, eq. 29). Moves are grouped by the number n of sites of s, r of s∩t and c of u. All moves
that bring to the same sites s∩t of the same support are one *slot*, whose blocks are contracted in one go; slots have
equally many moves, filled up with zeros, so that each group is one batched product. Everything here is array
operations.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from husimix.clusters.blocks import BlockRows
from husimix.clusters.moments import Lookup, MomentLayout, axis_patterns
from husimix.clusters.orbits import Canonical
from husimix.physics.local_maps import LocalMaps

__all__ = ["MoveGroup", "Touching", "moves_into", "reached_supports"]


class MoveGroup(eqx.Module):
    """All moves with the same n, r and c.

    Attributes:
        n, r, c: see the module.
        source: where the moments of s' are found, (slots, Z) sets with the sites of s∖t first; None where s' is empty.
        blocks: (slots, Z) int, rows of the table of blocks with this r and c.
        patterns: (slots,) int, how the letters on s∖t and s∩t become those of s.
        strings: (P, (D - 1)^n) int, for each pattern where each string of s stands among those of the slot.
        by_target: (S, Y) int, the slots of each support; the number of slots fills up.
    """

    n: int = eqx.field(static=True)
    r: int = eqx.field(static=True)
    c: int = eqx.field(static=True)
    source: Lookup | None
    blocks: Int[Array, "slot move"]
    patterns: Int[Array, " slot"]
    strings: Int[Array, "pattern string"]
    by_target: Int[Array, "support slot"]

    def total(
        self,
        moments: Mapping[int, Float[Array, "support string"]],
        maps: Float[Array, "label letter letter"],
        table: Float[Array, "block row column"],
    ) -> Float[Array, "support string"]:
        """What these moves add to the moments of every support, (S, (D - 1)^n).

        Cost: (D - 1)^(n + c) multiplications for each move, and a gather of as many numbers as its source has.
        """
        letters = maps.shape[1]
        block = table[self.blocks]
        if self.source is None:
            brought = jnp.sum(block, axis=1)
        else:
            values = self.source.values(moments[self.n - self.r + self.c], maps)
            values = values.reshape(*self.blocks.shape, letters ** (self.n - self.r), letters**self.c)
            brought = jnp.einsum("szkc,szrc->skr", values, block)
        flat = brought.reshape(-1, letters**self.n)
        starts = jnp.arange(len(flat), dtype=jnp.int32)[:, None] * flat.shape[1]
        ordered = flat.reshape(-1)[starts + self.strings[self.patterns]]
        return jnp.sum(jnp.concatenate([ordered, jnp.zeros((1, flat.shape[1]))])[self.by_target], axis=1)


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


def moves_into(
    rows: np.ndarray, layout: MomentLayout, touching: Touching, block_rows: BlockRows
) -> tuple[MoveGroup, ...]:
    """All moves into supports of n sites from kept ones, with those of the moving frame.

    Args:
        rows: (S, n) int, the supports, sites increasing.
        layout: of what is kept.
        touching: the maps.
        block_rows: numbers the blocks.

    Returns:
        The groups, one for each (r, c) that occurs.
    """
    n, records = rows.shape[1], {}
    for met in touching.meetings(rows):
        r, rest = len(met.mask), met.rest(rows)
        sites = touching.maps[met.kind].sites[met.number]
        for c in range(sites.shape[1] + 1):
            if n - r + c == 1 or (n - r + c > 1 and n - r + c not in layout.family.by_size):
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
    groups = (_group(n, r, c, some, len(rows), layout, block_rows) for (r, c), some in sorted(records.items()))
    return tuple(group for group in groups if group is not None)


def reached_supports(layout: MomentLayout, touching: Touching) -> dict[int, np.ndarray]:
    """The supports of two and more sites that maps reach from kept ones and that are not kept, one of each orbit.

    A map on t that meets s' reaches (s'∖t) ∪ e for every e ⊆ t; from no site it reaches every e ⊆ t.
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
        canonical = layout.orbits.canonical(np.unique(np.sort(np.concatenate(parts), axis=1), axis=0)).sites
        distinct = np.unique(canonical, axis=0)
        left = distinct[layout.family.find(distinct) < 0]
        if len(left):
            dropped[n] = left
    return dropped


def _group(
    n: int, r: int, c: int, parts: list[_Records], n_supports: int, layout: MomentLayout, block_rows: BlockRows
) -> MoveGroup | None:
    """The tables of one group; None if no source is kept."""
    support, places, block, source = (np.concatenate(x) for x in zip(*parts, strict=True))
    found = place = None
    if source.shape[1]:
        found = layout.orbits.canonical(source)
        place = layout.family.find(found.sites)
        kept = place >= 0
        support, places, block, place = support[kept], places[kept], block[kept], place[kept]
        found = Canonical(*(x[kept] for x in found))
    if not len(support):
        return None
    key = support * n**r + places @ n ** np.arange(r)
    slots, first, slot = np.unique(key, return_index=True, return_inverse=True)
    slot = slot.reshape(-1)
    order = np.argsort(slot, kind="stable")
    starts = np.searchsorted(slot[order], np.arange(len(slots)))
    position = np.arange(len(order)) - starts[slot[order]]
    at = slot[order], position
    shape = len(slots), int(position.max()) + 1

    def filled(values: np.ndarray, filler: int) -> np.ndarray:
        table = np.full(shape, filler, dtype=np.int32)
        table[at] = values[order]
        return table

    lookup = None
    if found is not None and place is not None:
        flat = layout.lookup_of(found, place)
        rows = filled(np.asarray(flat.rows), len(flat.variants))
        patterns = filled(np.asarray(flat.patterns), 0)
        placed = jax.device_put({"rows": rows, "patterns": patterns})
        lookup = Lookup(variants=flat.variants, labels=flat.labels, strings=flat.strings, **placed)
    axes = _slot_axes(places[first], n)
    slot_patterns, strings = axis_patterns(axes, layout.letters)
    tables = {
        "blocks": filled(block, block_rows.zero(r, c)),
        "patterns": slot_patterns,
        "strings": strings,
        "by_target": _by_owner(support[first], n_supports),
    }
    return MoveGroup(n=n, r=r, c=c, source=lookup, **jax.device_put(tables))


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
    table = np.full((n_owners, int(counts.max(initial=0))), len(owners), dtype=np.int32)
    starts = np.cumsum(counts) - counts
    ranked = owners[order]
    table[ranked, np.arange(len(ranked)) - starts[ranked]] = order
    return table
