"""Which maps touch which supports, and where they lead."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from husimix.clusters.moments import MomentLayout
from husimix.clusters.rows import distinct_rows
from husimix.physics.local_maps import LocalMaps

__all__ = ["Meetings", "Touching", "reached_supports"]


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

    def meetings(self, rows: np.ndarray) -> Iterator["Meetings"]:
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
                    yield Meetings(kind, mask, support[chosen], number[chosen], place[chosen][:, list(mask)])


class Meetings(NamedTuple):
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
